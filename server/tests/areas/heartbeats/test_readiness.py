"""The one question of the scorecard."""

from mainstay_server.areas.heartbeats.readiness import every_heartbeat_has_reported_once
from mainstay_server.kernel.readiness import Finding, NotApplicable, Passed
from sqlalchemy.orm import Session
from tests.areas.heartbeats.worlds import NOON, a_heartbeat, an_instance, report

check = every_heartbeat_has_reported_once.ask


def test_without_heartbeats_there_is_nothing_to_ask(session: Session) -> None:
    assert isinstance(check(session, an_instance(session), NOON), NotApplicable)


def test_one_that_never_reported_is_named_until_it_does(session: Session) -> None:
    instance = an_instance(session)
    beat = a_heartbeat(session, instance)

    found = check(session, instance, NOON)
    assert isinstance(found, Finding)
    assert found.problem == "Never heard of: Nightly backup."
    report(session, beat)

    assert check(session, instance, NOON) == Passed(evidence="One heartbeat reported.")
