from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from mainstay_server.areas.abuse import jobs
from mainstay_server.areas.abuse.models import Mode
from mainstay_server.areas.abuse.service import bans, watching
from mainstay_server.contracts.guard import (
    AddressConduct,
    KeyOnTheMove,
    conduct_of_addresses,
    keys_on_the_move,
)
from mainstay_server.kernel.database import transaction
from tests.areas.abuse.worlds import ATTACKER, NOON, conduct
from tests.world import a_project


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> Callable[[AddressConduct], None]:
    """Say what the guard would answer."""

    def say(found: AddressConduct) -> None:
        def of_addresses(
            *, since: datetime, until: datetime, at_least: int
        ) -> list[AddressConduct]:
            assert until - since == watching.WINDOW
            assert at_least == 3
            return [found]

        def of_keys(*, since: datetime, until: datetime, at_least: int) -> list[KeyOnTheMove]:
            return []

        monkeypatch.setattr(conduct_of_addresses, "answer", of_addresses)
        monkeypatch.setattr(keys_on_the_move, "answer", of_keys)

    return say


def test_the_job_bans_whom_the_rules_find(
    shared_memory: None, database: None, answered: Callable[[AddressConduct], None]
) -> None:
    with transaction() as session:
        instance = a_project(session, now=NOON)
        watching.change_settings(session, instance, mode=Mode.ENFORCE, thresholds=None, now=NOON)
    answered(conduct(instance.id, credentials=30))

    jobs.look_for_abuse.function(now=NOON)

    with transaction() as session:
        (ban,) = bans.active_bans(session, instance.id, now=NOON)
        assert ban.network == f"{ATTACKER}/32"
        assert jobs.forget_old_bans.function(session, now=NOON + timedelta(days=89)) == 0
        assert jobs.forget_old_bans.function(session, now=NOON + timedelta(days=91)) == 1
