"""Checks follow their instance; those made by hand are changed by hand."""

import pytest
import sqlalchemy as sa
from mainstay_server.areas.health_checks.models import HealthCheck, HealthState
from mainstay_server.areas.health_checks.schemas.bodies import HealthCheckChanges, NewHealthCheck
from mainstay_server.areas.health_checks.service import checks
from mainstay_server.contracts.health_checks import HealthCheckChanged, HealthCheckCreated
from mainstay_server.kernel.problems import Conflict, NotFound
from mainstay_server.tenancy.models import Instance
from mainstay_server.tenancy.subjects import find_instance
from sqlalchemy.orm import Session
from tests.areas.health_checks.worlds import MINUTE, NOON, a_check, an_instance, url_set
from tests.conftest import Said


def an_extra_check(session: Session) -> HealthCheck:
    instance = find_instance(session, an_instance(session, number=9).id)
    assert instance is not None
    wanted = NewHealthCheck(url="https://shop.example/deep", name="deep")
    return checks.add_check(session, instance, wanted, now=NOON)


def test_a_check_made_by_hand_is_asked_at_once_and_audited(session: Session, said: Said) -> None:
    check = an_extra_check(session)

    assert (check.next_at, check.state, check.default_of) == (NOON, HealthState.UNKNOWN, None)
    (event,) = said()
    assert isinstance(event, HealthCheckCreated)
    assert event.target == (check.id, "deep")
    assert event.changes["interval_seconds"] == (None, 300)


def test_a_change_by_hand_tells_what_it_was_and_is(session: Session, said: Said) -> None:
    check = an_extra_check(session)
    said()

    checks.change_check(session, check, HealthCheckChanges(fail_after=3), now=NOON)
    checks.pause_check(session, check, now=NOON)

    changed = [event.changes for event in said() if isinstance(event, HealthCheckChanged)]
    assert changed == [{"fail_after": (1, 3)}, {"paused": (False, True)}]


def test_what_follows_from_the_instance_is_changed_on_the_instance(session: Session) -> None:
    check = a_check(session)

    with pytest.raises(Conflict, match="PATCH /api/instances"):
        checks.change_check(session, check, HealthCheckChanges(interval_seconds=60), now=NOON)
    with pytest.raises(Conflict, match="pause it"):
        checks.remove_check(session, check, now=NOON)
    checks.change_check(session, check, HealthCheckChanges(fail_after=3), now=NOON)

    assert check.fail_after == 3


def test_an_instance_has_at_most_so_many(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "MOST_PER_INSTANCE", 5)
    instance = find_instance(session, an_instance(session).id)
    assert instance is not None
    wanted = NewHealthCheck(url="https://shop.example/")
    for _ in range(5):
        checks.add_check(session, instance, wanted, now=NOON)

    with pytest.raises(Conflict, match="at most 5 "):
        checks.add_check(session, instance, wanted, now=NOON)


def test_a_check_is_found_only_under_its_own_instance(session: Session) -> None:
    check = a_check(session)

    with pytest.raises(NotFound):
        checks.get_check(session, an_instance(session, number=2).id, check.id)


def test_the_check_of_the_instances_url_stands_for_it_even_when_it_is_younger(
    session: Session,
) -> None:
    extra = an_extra_check(session)
    assert checks.find_main_check(session, extra.instance_id) is extra

    instance = session.get_one(Instance, extra.instance_id)
    event = url_set(session, instance, "https://shop.example/")
    checks.follow_instance(session, event, now=NOON + MINUTE)

    main = checks.find_main_check(session, extra.instance_id)
    assert main is not None
    assert main.default_of == extra.instance_id


def test_removing_a_check_removes_its_history(session: Session) -> None:
    check = an_extra_check(session)

    checks.remove_check(session, check, now=NOON + MINUTE)

    assert session.scalar(sa.text("SELECT count(*) FROM spells")) == 0


def test_the_same_said_twice_makes_one_check(session: Session) -> None:
    instance = an_instance(session)
    event = url_set(session, instance, "https://shop.example/")

    checks.follow_instance(session, event, now=NOON)
    checks.follow_instance(session, event, now=NOON + MINUTE)

    (check,) = checks.list_checks(session, instance.id)
    assert check.next_at == NOON
