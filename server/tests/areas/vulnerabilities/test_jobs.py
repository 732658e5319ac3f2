"""What ends by itself: acceptances, branches that nobody scans, what was fixed long ago."""

from mainstay_server.areas.vulnerabilities import jobs
from mainstay_server.areas.vulnerabilities.models import Decision, Scan
from mainstay_server.areas.vulnerabilities.service import deciding
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from tests.areas.vulnerabilities.worlds import (
    DAY,
    NOON,
    findings,
    result,
    sarif,
    states,
    uploaded,
)
from tests.databases import on_both_stores

pytestmark = on_both_stores


def test_acceptances_end(session: Session, instance: InstanceRef) -> None:
    uploaded(session, instance, sarif(result("B602")))
    (finding,) = findings(session)
    deciding.decide(
        session, instance, finding.id, Decision.ACCEPTED, reason="x", until=NOON + DAY, now=NOON
    )
    assert jobs.end_acceptances.function(session, now=NOON + DAY) == 1
    assert states(session) == {"B602": "open"}


def test_a_branch_is_forgotten_with_what_was_seen_on_it_alone(
    session: Session, instance: InstanceRef
) -> None:
    uploaded(session, instance, sarif(result("B602")))
    uploaded(session, instance, sarif(result("B602"), result("B105")), branch="feature")
    jobs.forget_old_findings.function(session, now=NOON + 29 * DAY)
    assert states(session) == {"B602": "open", "B105": "unmerged"}
    jobs.forget_old_findings.function(session, now=NOON + 31 * DAY)
    assert states(session) == {"B602": "open"}


def test_what_was_fixed_long_ago_is_forgotten_and_what_is_open_is_not(
    session: Session, instance: InstanceRef
) -> None:
    uploaded(session, instance, sarif(result("B602"), result("B105")))
    uploaded(session, instance, sarif(result("B105")), now=NOON + DAY)
    jobs.forget_old_findings.function(session, now=NOON + 402 * DAY)
    assert states(session) == {"B105": "open"}
    assert session.scalar(select(func.count()).select_from(Scan)) == 0
