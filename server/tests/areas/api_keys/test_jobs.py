"""The jobs run by the runner that runs them in production, over committed rows."""

from collections.abc import Iterator
from datetime import datetime

import pytest
from mainstay_server.areas import api_keys
from mainstay_server.areas.api_keys.models import ApiKey
from mainstay_server.areas.api_keys.service import keys
from mainstay_server.contracts.api_keys import ApiKeyNeedsRotation
from mainstay_server.contracts.guard import last_uses
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import said_events
from mainstay_server.kernel.jobs import install_jobs, run_due, run_task
from mainstay_server.kernel.ports import install_answers
from mainstay_server.kernel.subjects import InstanceRef
from tests.areas.api_keys.conftest import DAY, HOUR, NOON, a_key
from tests.world import a_project


@pytest.fixture
def instance(shared_memory: None, database: None) -> Iterator[InstanceRef]:
    install_jobs(api_keys.area.jobs)
    with transaction() as session:
        made = a_project(session, now=NOON)
    yield made
    install_jobs(())


def made_key(instance: InstanceRef) -> ApiKey:
    with transaction() as session:
        return a_key(session, instance)[0]


def test_a_last_use_is_noted_from_what_passed_and_costs_nothing_without(
    instance: InstanceRef,
) -> None:
    made = made_key(instance)
    asked: list[datetime] = []

    def answer(*, since: datetime) -> dict[tuple[str, str], datetime]:
        asked.append(since)
        return {(instance.id, made.id): NOON + HOUR, ("another", made.id): NOON + 2 * HOUR}

    run_due(now=NOON)
    install_answers((last_uses.answered_by(answer),))
    try:
        run_due(now=NOON + 2 * HOUR)
        run_due(now=NOON + 3 * HOUR)
    finally:
        last_uses.answer = None

    assert asked[0] == NOON + 2 * HOUR - 30 * DAY
    assert asked[1] == NOON
    with reading() as session:
        assert keys.get_key(session, instance.id, made.id).last_used_at == NOON + HOUR


def test_reminders_are_said_once_over_many_turns(instance: InstanceRef) -> None:
    made_key(instance)

    for hours in range(5):
        run_due(now=NOON + 90 * DAY + hours * HOUR)

    with reading() as session:
        said = [event for _, event in said_events(session)]
    assert sum(isinstance(event, ApiKeyNeedsRotation) for event in said) == 1


def test_cleaning_up_forgets_what_died_ninety_days_ago(instance: InstanceRef) -> None:
    made = made_key(instance)
    with transaction() as session:
        keys.revoke_key(session, instance, made.id, now=NOON)

    run_task("cleanup", now=NOON + 90 * DAY, lease=HOUR)
    with reading() as session:
        assert session.get(ApiKey, made.id) is not None
    run_task("cleanup", now=NOON + 91 * DAY, lease=HOUR)
    with reading() as session:
        assert session.get(ApiKey, made.id) is None
