"""The gate: what is open and grave fails it, what is old or decided does not, silence does."""

from datetime import datetime
from typing import Any

from mainstay_server.areas.vulnerabilities.models import Decision, Severity
from mainstay_server.areas.vulnerabilities.service import deciding, gating
from mainstay_server.areas.vulnerabilities.service.gating import Question, Verdict
from mainstay_server.areas.vulnerabilities.service.settings import change_main_branch
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.areas.vulnerabilities.worlds import (
    DAY,
    HOUR,
    NOON,
    findings,
    result,
    sarif,
    uploaded,
)
from tests.databases import on_both_stores

pytestmark = on_both_stores


def judged(
    session: Session, instance: InstanceRef, *, now: datetime = NOON + HOUR, **asked: Any
) -> Verdict:
    return gating.judge(session, instance.id, Question(**asked), now=now)


def test_a_branch_that_nobody_scanned_does_not_pass(
    session: Session, instance: InstanceRef
) -> None:
    verdict = judged(session, instance)
    assert (verdict.passed, verdict.failing) == (False, 0)
    assert verdict.reason == "main was not scanned yet; upload a scan of it first."


def test_what_is_grave_fails_and_what_is_less_grave_passes(
    session: Session, instance: InstanceRef
) -> None:
    uploaded(session, instance, sarif(result("B602"), result("B105", level="warning")))
    verdict = judged(session, instance)
    assert (verdict.passed, [one.rule for one in verdict.findings]) == (False, ["B602"])
    assert verdict.counts[Severity.MEDIUM] == 1
    assert verdict.reason == "1 open of at least high on main."
    assert judged(session, instance, fail_on=Severity.CRITICAL).passed
    assert judged(session, instance, fail_on=Severity.LOW).failing == 2


def test_what_is_decided_passes_until_its_time_is_over_to_the_minute(
    session: Session, instance: InstanceRef
) -> None:
    """The job that opens it again may come later; the gate does not wait for it."""
    uploaded(session, instance, sarif(result("B602")))
    (finding,) = findings(session)
    until = NOON + DAY
    deciding.decide(
        session, instance, finding.id, Decision.ACCEPTED, reason="x", until=until, now=NOON
    )
    assert judged(session, instance).passed
    assert not judged(session, instance, now=until).passed


def test_only_what_a_branch_adds_is_held_against_it(
    session: Session, instance: InstanceRef
) -> None:
    uploaded(session, instance, sarif(result("B602")), branch="main")
    uploaded(session, instance, sarif(result("B602")), branch="feature", now=NOON + HOUR)
    assert not judged(session, instance, branch="feature").passed
    assert judged(session, instance, branch="feature", against="main").passed

    worse = sarif(result("B602"), result("B605"))
    uploaded(session, instance, worse, branch="feature", now=NOON + DAY)
    verdict = judged(session, instance, branch="feature", against="main")
    assert [one.rule for one in verdict.findings] == ["B605"]
    assert verdict.reason == "1 open of at least high on feature that main does not have."
    assert not judged(session, instance, branch="main").passed


def test_a_commit_that_was_not_scanned_does_not_pass(
    session: Session, instance: InstanceRef
) -> None:
    uploaded(session, instance, sarif(), commit="aaaa")
    assert judged(session, instance, commit="aaaa").passed
    assert "was not scanned" in judged(session, instance, commit="bbbb").reason
    assert not judged(session, instance, commit="bbbb").passed
    assert "by Trivy" in judged(session, instance, source="Trivy").reason


def test_another_branch_becomes_the_main_one(session: Session, instance: InstanceRef) -> None:
    uploaded(session, instance, sarif(result("B602")), branch="trunk")
    assert findings(session)[0].status == "unmerged"
    change_main_branch(session, instance, "trunk", now=NOON)
    scan = uploaded(session, instance, sarif(result("B602")), branch="trunk", now=NOON + HOUR)
    assert (scan.new, findings(session)[0].status) == (1, "open")
    assert judged(session, instance, branch="trunk").branch == "trunk"
