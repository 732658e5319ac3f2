"""Going live asks for scans that are not old, and for no critical finding that waits."""

from mainstay_server.areas.vulnerabilities import readiness
from mainstay_server.areas.vulnerabilities.models import Decision
from mainstay_server.areas.vulnerabilities.service import deciding
from mainstay_server.kernel.readiness import Finding, NotApplicable, Passed
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.areas.vulnerabilities.worlds import DAY, NOON, findings, result, sarif, uploaded

CRITICAL = {"id": "B602", "properties": {"security-severity": "9.8"}}


def test_it_asks_for_a_scan_and_then_for_a_newer_one(
    session: Session, instance: InstanceRef
) -> None:
    ask = readiness.scans_arrive.ask
    assert isinstance(ask(session, instance, NOON), Finding)
    uploaded(session, instance, sarif(), branch="feature")
    assert isinstance(ask(session, instance, NOON), Finding), "a branch is not what runs"
    uploaded(session, instance, sarif())
    assert ask(session, instance, NOON) == Passed(evidence="Bandit scanned it today.")
    old = ask(session, instance, NOON + 15 * DAY)
    assert isinstance(old, Finding)
    assert old.problem == "The newest scan, by Bandit, is 15 days old."


def test_a_critical_finding_may_wait_a_week(session: Session, instance: InstanceRef) -> None:
    ask = readiness.no_old_criticals.ask
    assert isinstance(ask(session, instance, NOON), NotApplicable)
    uploaded(session, instance, sarif(result("B602"), rules=[CRITICAL]))
    assert isinstance(ask(session, instance, NOON + 7 * DAY), Passed)
    found = ask(session, instance, NOON + 8 * DAY)
    assert isinstance(found, Finding)
    assert "open for more than seven days" in found.problem

    (finding,) = findings(session)
    deciding.decide(session, instance, finding.id, Decision.ACCEPTED, reason="x", now=NOON)
    assert isinstance(ask(session, instance, NOON + 8 * DAY), Passed)


def test_one_that_came_back_is_as_old_as_its_return(
    session: Session, instance: InstanceRef
) -> None:
    uploaded(session, instance, sarif(result("B602"), rules=[CRITICAL]))
    uploaded(session, instance, sarif(), now=NOON + DAY)
    back = sarif(result("B602"), rules=[CRITICAL])
    uploaded(session, instance, back, now=NOON + 30 * DAY)
    ask = readiness.no_old_criticals.ask
    assert isinstance(ask(session, instance, NOON + 31 * DAY), Passed)
