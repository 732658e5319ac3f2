"""The scorecard's questions, answered from what was really seen."""

from mainstay_server.areas.health_checks import readiness
from mainstay_server.areas.health_checks.models import HealthCheck, HealthState
from mainstay_server.areas.health_checks.service import recording
from mainstay_server.kernel.readiness import Finding, NotApplicable, Passed
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.subjects import find_instance
from sqlalchemy.orm import Session
from tests.areas.health_checks.worlds import GRACE, MINUTE, NOON, a_check, an_instance, finished


def of(session: Session, check: HealthCheck) -> InstanceRef:
    found = find_instance(session, check.instance_id)
    assert found is not None
    return found


def test_an_instance_that_nobody_watches_is_a_finding_and_the_rest_waits(session: Session) -> None:
    instance = find_instance(session, an_instance(session).id)
    assert instance is not None

    assert isinstance(readiness.app_is_watched.ask(session, instance, NOON), Finding)
    for question in (readiness.app_answers, readiness.asked_often_enough):
        assert isinstance(question.ask(session, instance, NOON), NotApplicable)


def test_a_good_result_of_now_passes_and_an_old_one_does_not(session: Session) -> None:
    check = a_check(session)
    one = finished(check, HealthState.HEALTHY, at=NOON + MINUTE)
    recording.record_results(session, [one], grace_seconds=GRACE)
    instance = of(session, check)

    soon = readiness.app_answers.ask(session, instance, NOON + 2 * MINUTE)
    late = readiness.app_answers.ask(session, instance, NOON + 9 * MINUTE)

    assert soon == Passed(evidence="It answered in 80 ms at 2026-03-01 12:01:00 UTC.")
    assert isinstance(late, Finding)
    assert "probe role" in late.fix


def test_an_app_that_is_down_is_a_finding_with_the_reason(session: Session) -> None:
    check = a_check(session)
    one = finished(check, HealthState.UNHEALTHY, at=NOON + MINUTE)
    recording.record_results(session, [one], grace_seconds=GRACE)

    found = readiness.app_answers.ask(session, of(session, check), NOON + 2 * MINUTE)

    assert isinstance(found, Finding)
    assert found.problem == "The health check is unhealthy: answered 503."


def test_asking_every_ten_minutes_is_not_often_enough(session: Session) -> None:
    rare = a_check(session, interval_seconds=600)
    often = a_check(session, number=2, interval_seconds=300)

    question = readiness.asked_often_enough
    assert isinstance(question.ask(session, of(session, rare), NOON), Finding)
    assert isinstance(question.ask(session, of(session, often), NOON), Passed)


def test_production_must_have_answered_over_tls(session: Session) -> None:
    plain = a_check(session, "http://shop.example/")
    secure = a_check(session, "https://shop.example/", number=2)
    question = readiness.production_uses_tls

    before = question.ask(session, of(session, secure), NOON)
    one = finished(secure, HealthState.HEALTHY, at=NOON + MINUTE)
    recording.record_results(session, [one], grace_seconds=GRACE)

    assert isinstance(question.ask(session, of(session, plain), NOON), Finding)
    assert isinstance(before, Finding)
    assert isinstance(question.ask(session, of(session, secure), NOON), Passed)
