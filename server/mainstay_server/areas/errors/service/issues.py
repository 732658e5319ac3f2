"""Issues: listing them, looking at one, and deciding what becomes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.errors.models import Issue, IssueInstance, Status
from mainstay_server.contracts.errors import IssueDecided, IssueStatusChanged
from mainstay_server.kernel.database import rows_changed
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.problems import Invalid, NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.models import Project

from .folding import REOPENED
from .search import Search, issue_conditions, issues_with_events

MOST_AT_ONCE = 200
MOST_REOPENED_AT_ONCE = 1_000
SORTS = ("last_seen", "first_seen", "count")
DECIDED = ("status", "ignored_until", "ignored_until_count")


@dataclass(frozen=True, kw_only=True)
class IssueInInstance:
    """An issue with what one instance saw of it."""

    issue: Issue
    count: int
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What becomes of an issue. Ignored means for good, until a time, or for N more events."""

    status: Status
    ignored_until: datetime | None = None
    ignored_for_events: int | None = None


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Which issues are listed in which order; `after` is a place in it, see `sort_key`."""

    search: Search
    sort: str = SORTS[0]
    after: Sequence[str | float] | None = None
    limit: int = 50


def list_issues(
    session: Session, instance: InstanceRef, listing: Listing, *, now: datetime
) -> Sequence[IssueInInstance]:
    """The issues that an instance saw, with its own numbers.

    Raises `Invalid` for an order or a place in it that do not exist.
    """
    if listing.sort not in SORTS:
        raise Invalid(f"sort is one of {', '.join(SORTS)}.")
    column = getattr(IssueInstance, listing.sort)
    search, after = listing.search, listing.after
    statement = (
        sa.select(Issue, IssueInstance.count, IssueInstance.first_seen, IssueInstance.last_seen)
        .join(IssueInstance, IssueInstance.issue_id == Issue.id)
        .where(IssueInstance.instance_id == instance.id, *issue_conditions(search))
        .order_by(column.desc(), Issue.id.desc())
        .limit(listing.limit)
    )
    if search.of_events:
        ids = issues_with_events(instance.project_id, search.of_events, now=now)
        statement = statement.where(Issue.id.in_(ids))
    if after is not None:
        value = _sort_value(listing.sort, after[0])
        statement = statement.where(
            sa.or_(column < value, sa.and_(column == value, Issue.id < str(after[1])))
        )
    return [_in_instance(*row) for row in session.execute(statement)]


def sort_key(sort: str, found: IssueInInstance) -> tuple[str | float, str]:
    """The place of an issue in a sorted list, for a cursor."""
    value = getattr(found, sort)
    return (value if sort == "count" else value.isoformat(), found.issue.id)


def count_by_status(session: Session, instance: InstanceRef) -> dict[str, int]:
    """How many issues of each status an instance saw."""
    rows = session.execute(
        sa.select(Issue.status, sa.func.count())
        .join(IssueInstance, IssueInstance.issue_id == Issue.id)
        .where(IssueInstance.instance_id == instance.id)
        .group_by(Issue.status)
    )
    found = {str(status): count for status, count in rows}
    return {status: found.get(status, 0) for status in Status}


def organization_of_issue(session: Session, issue_id: str) -> str | None:
    """Whose issue it is, for the rule that guards it; None when there is none."""
    return session.scalar(
        sa.select(Project.organization_id)
        .join(Issue, Issue.project_id == Project.id)
        .where(Issue.id == issue_id)
    )


def get_issue(session: Session, issue_id: str) -> tuple[Issue, str]:
    """The issue and its project's slug. Raises `NotFound`."""
    row = session.execute(
        sa.select(Issue, Project.slug)
        .join(Project, Project.id == Issue.project_id)
        .where(Issue.id == issue_id)
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such issue; go back to the list.")
    return row[0], row[1]


def instances_of_issue(session: Session, issue_id: str) -> Sequence[IssueInstance]:
    """What each instance saw of an issue, the latest first."""
    return session.scalars(
        sa.select(IssueInstance)
        .where(IssueInstance.issue_id == issue_id)
        .order_by(IssueInstance.last_seen.desc())
    ).all()


def short_id(slug: str, number: int) -> str:
    """What people call an issue among each other: `SHOP-7`."""
    return f"{slug.upper()}-{number}"


def decide(
    session: Session,
    project_id: str,
    issue_ids: Sequence[str],
    decision: Decision,
    *,
    now: datetime,
) -> int:
    """Resolve, ignore or reopen issues of one project, and say so of each that changes.

    Issues of other projects are passed over. Returns how many were changed.
    """
    if len(issue_ids) > MOST_AT_ONCE:
        raise Invalid(f"At most {MOST_AT_ONCE} issues at once; do the rest after these.")
    _refuse_contradictions(decision, now=now)
    rows = session.execute(
        sa.select(Issue, Project.organization_id)
        .join(Project, Project.id == Issue.project_id)
        .where(Issue.id.in_(issue_ids), Issue.project_id == project_id)
        .order_by(Issue.id)
        .with_for_update(of=Issue)
    ).all()
    for issue, organization_id in rows:
        before, was = issue.status, facts_of(issue, DECIDED)
        for name, value in _values(issue, decision, now=now).items():
            setattr(issue, name, value)
        if before != decision.status:
            _say_changed(session, issue, organization_id, before=before, now=now)
        decided = IssueDecided(
            organization_id=organization_id,
            project_id=issue.project_id,
            issue_id=issue.id,
            title=issue.title,
            changes=changes_between(was, facts_of(issue, DECIDED)),
        )
        say(session, decided, now=now)
    return len(rows)


def reopen_due(session: Session, *, now: datetime) -> int:
    """Reopen the issues that were ignored until a time that has come; says so once of each."""
    due = session.execute(
        sa.select(Issue, Project.organization_id)
        .join(Project, Project.id == Issue.project_id)
        .where(Issue.status == Status.IGNORED, Issue.ignored_until <= now)
        .limit(MOST_REOPENED_AT_ONCE)
    ).all()
    reopened = 0
    for issue, organization_id in due:
        changed = rows_changed(
            session,
            sa.update(Issue)
            .where(Issue.id == issue.id, Issue.status == Status.IGNORED)
            .values(REOPENED)
            .execution_options(synchronize_session=False),
        )
        if changed:
            _say_changed(
                session, issue, organization_id, before=Status.IGNORED, now=now, after="unresolved"
            )
            reopened += 1
    return reopened


def _in_instance(issue: Issue, count: int, first: datetime, last: datetime) -> IssueInInstance:
    return IssueInInstance(issue=issue, count=count, first_seen=first, last_seen=last)


def _sort_value(sort: str, given: str | float) -> datetime | int:
    try:
        return int(given) if sort == "count" else datetime.fromisoformat(str(given))
    except ValueError as error:
        raise Invalid("The cursor is from another list; start without it.") from error


def _refuse_contradictions(decision: Decision, *, now: datetime) -> None:
    until, events = decision.ignored_until, decision.ignored_for_events
    if decision.status is not Status.IGNORED and (until is not None or events is not None):
        raise Invalid("Only an issue that is ignored has an end to that; leave the end out.")
    if until is not None and events is not None:
        raise Invalid("An issue is ignored until a time or for a number of events, not both.")
    if until is not None and until <= now:
        raise Invalid("The time until which the issue is ignored has passed; choose a later one.")
    if events is not None and events < 1:
        raise Invalid("An issue is ignored for at least one more event.")


def _values(issue: Issue, decision: Decision, *, now: datetime) -> dict[str, Any]:
    events = decision.ignored_for_events
    return {
        "status": decision.status,
        "resolved_at": now if decision.status is Status.RESOLVED else None,
        "ignored_until": decision.ignored_until,
        "ignored_until_count": None if events is None else issue.count + events,
    }


def _say_changed(
    session: Session,
    issue: Issue,
    organization_id: str,
    *,
    before: str,
    now: datetime,
    after: str = "",
) -> None:
    say(
        session,
        IssueStatusChanged(
            organization_id=organization_id,
            project_id=issue.project_id,
            issue_id=issue.id,
            title=issue.title,
            before=str(before),
            after=after or str(issue.status),
        ),
        now=now,
    )
