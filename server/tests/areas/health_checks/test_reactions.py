"""What an instance's change does to its health check."""

from mainstay_server.areas.health_checks.models import HealthState
from mainstay_server.areas.health_checks.reactions import follow_the_instance
from mainstay_server.areas.health_checks.service import checks, recording
from mainstay_server.contracts.health_checks import HealthCheckStopped
from mainstay_server.tenancy.models import Instance
from sqlalchemy.orm import Session
from tests.areas.health_checks.worlds import (
    GRACE,
    MINUTE,
    NOON,
    a_check,
    an_instance,
    finished,
    url_set,
)
from tests.conftest import Said


def test_an_instance_without_a_url_has_no_check(session: Session) -> None:
    instance = an_instance(session)

    follow_the_instance.function(session, url_set(session, instance, ""), now=NOON)

    assert checks.list_checks(session, instance.id) == []


def test_the_first_url_makes_the_check_and_asks_at_once(session: Session) -> None:
    instance = an_instance(session)
    event = url_set(session, instance, "https://shop.example/health", interval_seconds=30)

    follow_the_instance.function(session, event, now=NOON)

    (check,) = checks.list_checks(session, instance.id)
    assert (check.url, check.interval_seconds) == ("https://shop.example/health", 30)
    assert (check.next_at, check.state) == (NOON, HealthState.UNKNOWN)


def test_another_url_goes_on_with_the_same_check_and_state(session: Session) -> None:
    check = a_check(session)
    one = finished(check, HealthState.HEALTHY, at=NOON + MINUTE)
    recording.record_results(session, [one], grace_seconds=GRACE)
    instance = session.get_one(Instance, check.instance_id)

    event = url_set(session, instance, "https://shop.example/new")
    follow_the_instance.function(session, event, now=NOON + 1.5 * MINUTE)

    (after,) = checks.list_checks(session, instance.id)
    assert after is check
    assert (after.url, after.state) == ("https://shop.example/new", HealthState.HEALTHY)
    assert after.next_at == NOON + 1.5 * MINUTE


def test_taking_the_url_away_lets_the_check_rest_and_says_so_when_it_was_down(
    session: Session, said: Said
) -> None:
    check = a_check(session)
    one = finished(check, HealthState.UNHEALTHY, at=NOON + MINUTE)
    recording.record_results(session, [one], grace_seconds=GRACE)
    instance = session.get_one(Instance, check.instance_id)

    follow_the_instance.function(session, url_set(session, instance, ""), now=NOON + 2 * MINUTE)

    assert check.state == HealthState.PAUSED
    assert isinstance(said()[-1], HealthCheckStopped)
