"""The gate of a pipeline: may this branch go on, and which findings stand in its way."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.vulnerabilities.models import (
    Decision,
    ScanSource,
    Severity,
    Sighting,
    VulnerabilityFinding,
)

from .settings import main_branch_of

MOST_TOLD = 100
Finding = VulnerabilityFinding


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked. `against` is the branch whose findings are not held against this one."""

    fail_on: Severity = Severity.HIGH
    branch: str = ""
    against: str | None = None
    source: str = ""
    commit: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer: it passes, or why not; and the gravest findings that stand in its way."""

    passed: bool
    reason: str
    branch: str
    against: str | None
    counts: dict[Severity, int]
    failing: int
    findings: Sequence[VulnerabilityFinding]


def judge(session: Session, instance_id: str, asked: Question, *, now: datetime) -> Verdict:
    """Whether a branch has nothing open that is at least so grave.

    Counted is what the newest scans of the branch name, without what is accepted or false now. A
    branch, or a commit, that nobody scanned does not pass: silence is no evidence.
    """
    main = main_branch_of(session, instance_id)
    branch = _stored(asked.branch, main)
    against = None if asked.against is None else _stored(asked.against, main)
    shown = branch or main
    unscanned = _unscanned(session, instance_id, asked, branch, shown)
    statement = _standing(instance_id, asked.source, branch, against, now)
    counts = dict.fromkeys(Severity, 0)
    grouped = statement.with_only_columns(Finding.severity, sa.func.count()).group_by(
        Finding.severity
    )
    for severity, count in session.execute(grouped.order_by(None)):
        counts[Severity(severity)] = count
    failing = sum(count for one, count in counts.items() if one.rank >= asked.fail_on.rank)
    findings = session.scalars(
        statement.where(Finding.rank >= asked.fail_on.rank)
        .order_by(Finding.rank.desc(), Finding.id.desc())
        .limit(MOST_TOLD)
    ).all()
    told_against = None if against is None else against or main
    new = f" that {told_against} does not have" if told_against else ""
    reason = unscanned or (
        f"{failing:,} open of at least {asked.fail_on} on {shown}{new}."
        if failing
        else f"Nothing open of at least {asked.fail_on} on {shown}{new}."
    )
    return Verdict(
        passed=not unscanned and not failing,
        reason=reason,
        branch=shown,
        against=told_against,
        counts=counts,
        failing=failing,
        findings=findings,
    )


def _stored(branch: str, main: str) -> str:
    return "" if branch == main else branch


def _unscanned(session: Session, instance_id: str, asked: Question, branch: str, shown: str) -> str:
    """Why nothing can be said of the branch; "" when it was scanned."""
    chosen = [ScanSource.instance_id == instance_id, ScanSource.branch == branch]
    if asked.source:
        chosen.append(ScanSource.name == asked.source)
    commits = session.execute(sa.select(ScanSource.name, ScanSource.commit).where(*chosen)).all()
    named = f" by {asked.source}" if asked.source else ""
    if not commits:
        return f"{shown} was not scanned{named} yet; upload a scan of it first."
    behind = [name for name, commit in commits if asked.commit and commit != asked.commit]
    if behind and len(behind) == len(commits):
        return f"The commit {asked.commit[:12]} of {shown} was not scanned{named}; upload its scan."
    return ""


def _standing(
    instance_id: str, source: str, branch: str, against: str | None, now: datetime
) -> sa.Select[VulnerabilityFinding]:
    """What is seen on the branch, is not seen on the other one, and is decided by nobody."""
    undecided = sa.or_(Finding.decision == Decision.NONE, Finding.decided_until <= now)
    statement = sa.select(Finding).where(
        Finding.instance_id == instance_id,
        Finding.id.in_(_seen_on(instance_id, branch, source)),
        undecided,
    )
    if against is not None:
        statement = statement.where(Finding.id.not_in(_seen_on(instance_id, against)))
    return statement


def _seen_on(instance_id: str, branch: str, source: str = "") -> sa.Select[str]:
    seen = (
        sa.select(Sighting.finding_id)
        .join(ScanSource, ScanSource.id == Sighting.source_id)
        .where(ScanSource.instance_id == instance_id, ScanSource.branch == branch, Sighting.present)
    )
    return seen.where(ScanSource.name == source) if source else seen
