"""Scorecard: a fold over the readiness checks that every area declares."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.contracts.scorecard import OpenFinding
from mainstay_server.kernel.area import Area, installed
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.readiness import Finding, NotApplicable, Passed, ReadinessCheck, Weight
from mainstay_server.kernel.subjects import InstanceRef

from .schemas import CheckResult, Scorecard, Status


def score(session: Session, instance: InstanceRef, *, now: datetime) -> Scorecard:
    """Ask every readiness check about an instance, now; nothing is cached.

    What to mend comes first: failed `must`s, then what could not be asked, then failed `should`s.
    Questions that make no sense for the instance are listed last and do not count.
    """
    results = sorted(_ask_all(session, instance, now), key=_urgency)
    counted = [r for r in results if r.status is not Status.NOT_APPLICABLE]
    return Scorecard(
        instance_id=instance.id,
        environment=instance.environment,
        asked_at=now,
        ready=not any(_blocks(result) for result in results),
        passed=sum(result.status is Status.PASSED for result in counted),
        asked=len(counted),
        checks=results,
    )


def open_findings(
    session: Session, instance: InstanceRef, *, now: datetime
) -> Sequence[OpenFinding]:
    """Answer the port of the same name."""
    return [
        OpenFinding(
            question=result.question,
            problem=result.evidence,
            fix=result.fix,
            blocks=_blocks(result),
        )
        for result in score(session, instance, now=now).checks
        if result.status is Status.FAILED
    ]


def _ask_all(session: Session, instance: InstanceRef, now: datetime) -> Iterator[CheckResult]:
    for area in installed():
        for check in area.readiness:
            yield _ask(session, area, check, instance, now)


def _ask(
    session: Session, area: Area, check: ReadinessCheck, instance: InstanceRef, now: datetime
) -> CheckResult:
    status, evidence, fix, fix_url = Status.UNKNOWN, "", "", ""
    try:
        outcome = check.ask(session, instance, now)
    except Problem as refusal:  # a store that is away must not hide the other answers
        evidence = refusal.detail
    else:
        match outcome:
            case Passed():
                status, evidence = Status.PASSED, outcome.evidence
            case Finding():
                status, evidence = Status.FAILED, outcome.problem
                fix, fix_url = outcome.fix, outcome.fix_url
            case NotApplicable():
                status, evidence = Status.NOT_APPLICABLE, outcome.reason
    return CheckResult(
        id=check.id,
        area=area.title,
        question=check.question,
        weight=check.weight.value,
        status=status,
        evidence=evidence,
        fix=fix,
        fix_url=fix_url,
    )


def _blocks(result: CheckResult) -> bool:
    return result.weight == Weight.MUST and result.status in (Status.FAILED, Status.UNKNOWN)


def _urgency(result: CheckResult) -> int:
    if result.status is Status.FAILED:
        return 0 if result.weight == Weight.MUST else 2
    return {Status.UNKNOWN: 1, Status.PASSED: 3, Status.NOT_APPLICABLE: 4}[result.status]
