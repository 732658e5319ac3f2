"""Folding: a stored batch of error events becomes the counts of its issues, exactly once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.errors.models import (
    LONGEST_RELEASE,
    IntakeName,
    Issue,
    IssueInstance,
    IssueNumbers,
    Status,
)
from mainstay_server.contracts.errors import IssueOpened, IssueRegressed, IssueStatusChanged
from mainstay_server.kernel.database import insert, rows_changed
from mainstay_server.kernel.events import say
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.models import Instance

from .grouping import GROUPING
from .kinds import CULPRIT, LEVEL, TITLE, TOO_MANY

ISSUES = cast("sa.Table", Issue.__table__)
ISSUE_INSTANCES = cast("sa.Table", IssueInstance.__table__)


@dataclass(kw_only=True, slots=True)
class Seen:
    """What one batch holds of one issue in one instance."""

    issue_id: str
    instance: InstanceRef
    grouping_hash: str
    title: str
    culprit: str
    level: str
    release: str
    first_seen: datetime
    last_seen: datetime
    count: int

    def __post_init__(self) -> None:
        """An event over the limit of kinds keeps its own words; its issue has others."""
        if self.grouping_hash == TOO_MANY:
            self.title, self.culprit, self.level = TITLE, CULPRIT, LEVEL


@dataclass(kw_only=True, frozen=True, slots=True)
class Place:
    """Which batch of which intake is folded, and whose intake that is.

    Several batches in a row are folded as one: `number` is the last of them, and `follows` the one
    before the first.
    """

    intake: str
    owner: str
    number: int
    follows: int | None = None


def fold(session: Session, batch: Sequence[Seen], place: Place, *, now: datetime) -> bool:
    """Add a stored batch to the counts of its issues, open new ones and say what happened.

    Exactly once: the number of the batch is noted in the same transaction, and of several who fold
    the same batch (its own process, the job that finishes what a crash left) one does. Batches of
    one intake have to be folded in order, and what follows a batch only if that was the last.

    Any number of processes may do it at once: rows are locked in the order of their ids.

    Returns whether this call did it.
    """
    if not _note(session, place, now=now):
        return False
    batch = _of_living_instances(session, batch)
    if batch:
        opened = _open_new(session, batch)
        _count(session, batch)
        _count_in_instances(session, batch)
        for seen in _first_of_each_issue(batch):
            if seen.issue_id in opened:
                say(session, _event_of(IssueOpened, seen), now=now)
    return True


def _note(session: Session, place: Place, *, now: datetime) -> bool:
    number, last = place.number, IntakeName.folded
    statement = insert(IntakeName).values(
        id=place.intake, owner=place.owner, folded=number, folded_at=now
    )
    return bool(
        rows_changed(
            session,
            statement.on_conflict_do_update(
                index_elements=[IntakeName.id],
                set_={"folded": number, "folded_at": now},
                where=last < number if place.follows is None else last == place.follows,
            ),
        )
    )


def _of_living_instances(session: Session, batch: Sequence[Seen]) -> Sequence[Seen]:
    """Leave out what belongs to instances that were deleted while their events were on the way."""
    ids = {seen.instance.id for seen in batch}
    living = set(session.scalars(sa.select(Instance.id).where(Instance.id.in_(ids))))
    return [seen for seen in batch if seen.instance.id in living]


def _open_new(session: Session, batch: Sequence[Seen]) -> set[str]:
    """Make the issues that are not there yet, with no events so far; returns whose we made."""
    ids = {seen.issue_id for seen in batch}
    known = set(session.scalars(sa.select(Issue.id).where(Issue.id.in_(ids))))
    missing = sorted(
        (seen for seen in _first_of_each_issue(batch) if seen.issue_id not in known),
        key=lambda seen: (seen.instance.project_id, seen.first_seen, seen.issue_id),
    )
    opened: set[str] = set()
    for project_id, group in groupby(missing, key=lambda seen: seen.instance.project_id):
        new = list(group)
        last = _take_numbers(session, project_id, len(new))
        rows = [
            _new_issue(seen, number) for number, seen in enumerate(new, start=last - len(new) + 1)
        ]
        # Another process may have been faster with some; theirs stay, our numbers are skipped.
        made = insert(ISSUES).values(rows).on_conflict_do_nothing().returning(ISSUES.c.id)
        opened.update(session.scalars(made))
    return opened


def _take_numbers(session: Session, project_id: str, count: int) -> int:
    statement = insert(IssueNumbers).values(project_id=project_id, last_number=count)
    return session.scalars(
        statement.on_conflict_do_update(
            index_elements=[IssueNumbers.project_id],
            set_={"last_number": IssueNumbers.last_number + count},
        ).returning(IssueNumbers.last_number)
    ).one()


def _new_issue(seen: Seen, number: int) -> dict[str, Any]:
    return {
        "id": seen.issue_id,
        "project_id": seen.instance.project_id,
        "number": number,
        "first_instance_id": seen.instance.id,
        "grouping": GROUPING,
        "grouping_hash": seen.grouping_hash,
        "title": seen.title,
        "culprit": seen.culprit,
        "level": seen.level,
        "first_release": seen.release[:LONGEST_RELEASE],
        "last_release": "",
        "count": 0,
        "first_seen": seen.first_seen,
        "last_seen": seen.first_seen,
        "status": Status.UNRESOLVED,
        "resolved_at": None,
        "ignored_until": None,
        "ignored_until_count": None,
    }


def _count(session: Session, batch: Sequence[Seen]) -> None:
    """Add to the issues, and reopen those that were resolved before or ignored until now.

    The rows are locked first, so that what is written may be computed from what was read.
    """
    by_issue: dict[str, list[Seen]] = {}
    for seen in batch:
        by_issue.setdefault(seen.issue_id, []).append(seen)
    locked = session.execute(
        sa.select(
            ISSUES.c.id,
            ISSUES.c.count.label("events"),
            ISSUES.c.last_seen,
            ISSUES.c.last_release,
            ISSUES.c.status,
            ISSUES.c.resolved_at,
            ISSUES.c.ignored_until_count,
        )
        .where(ISSUES.c.id.in_(by_issue))
        .order_by(ISSUES.c.id)
        .with_for_update()
    )
    changes, reopened = [], []
    for issue in locked.all():
        last = max(by_issue[issue.id], key=lambda one: one.last_seen)
        count = issue.events + sum(one.count for one in by_issue[issue.id])
        changes.append(
            {
                "b_id": issue.id,
                "b_count": count,
                "b_last_seen": max(issue.last_seen, last.last_seen),
                "b_last_release": last.release[:LONGEST_RELEASE] or issue.last_release,
            }
        )
        if _is_back(issue, last_seen=last.last_seen, count=count):
            reopened.append(issue.id)
            _say_reopened(session, last, before=issue.status)
    session.execute(_COUNT_UP, changes)
    if reopened:
        session.execute(sa.update(ISSUES).where(ISSUES.c.id.in_(reopened)).values(REOPENED))


_COUNT_UP = (
    sa.update(ISSUES)
    .where(ISSUES.c.id == sa.bindparam("b_id"))
    .values(
        count=sa.bindparam("b_count"),
        last_seen=sa.bindparam("b_last_seen"),
        last_release=sa.bindparam("b_last_release"),
    )
)
REOPENED: Mapping[str, Any] = {
    "status": Status.UNRESOLVED,
    "resolved_at": None,
    "ignored_until": None,
    "ignored_until_count": None,
}


def _is_back(issue: Any, *, last_seen: datetime, count: int) -> bool:  # noqa: ANN401 - a row
    """Whether events reopen an issue: they came after the resolving, or as often as was waited."""
    if issue.status == Status.RESOLVED:
        return bool(last_seen > issue.resolved_at)
    until = issue.ignored_until_count
    return issue.status == Status.IGNORED and until is not None and count >= until


def _say_reopened(session: Session, seen: Seen, *, before: str) -> None:
    if before == Status.RESOLVED:
        say(session, _event_of(IssueRegressed, seen), now=seen.last_seen)
        return
    say(
        session,
        IssueStatusChanged(
            organization_id=seen.instance.organization_id,
            project_id=seen.instance.project_id,
            issue_id=seen.issue_id,
            title=seen.title,
            before=before,
            after=Status.UNRESOLVED,
        ),
        now=seen.last_seen,
    )


def _count_in_instances(session: Session, batch: Sequence[Seen]) -> None:
    rows = [
        {
            "issue_id": seen.issue_id,
            "instance_id": seen.instance.id,
            "count": seen.count,
            "first_seen": seen.first_seen,
            "last_seen": seen.last_seen,
        }
        for seen in sorted(batch, key=lambda seen: (seen.issue_id, seen.instance.id))
    ]
    statement = insert(ISSUE_INSTANCES)
    new, old = statement.excluded, ISSUE_INSTANCES.c
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[old.issue_id, old.instance_id],
            set_={
                "count": old.count + new.count,
                "last_seen": sa.case(
                    (new.last_seen > old.last_seen, new.last_seen), else_=old.last_seen
                ),
            },
        ),
        rows,
    )


def _first_of_each_issue(batch: Iterable[Seen]) -> list[Seen]:
    first: dict[str, Seen] = {}
    for seen in batch:
        held = first.get(seen.issue_id)
        if held is None or seen.first_seen < held.first_seen:
            first[seen.issue_id] = seen
    return list(first.values())


def _event_of(kind: type[IssueOpened], seen: Seen) -> IssueOpened:
    return kind(
        organization_id=seen.instance.organization_id,
        project_id=seen.instance.project_id,
        instance_id=seen.instance.id,
        issue_id=seen.issue_id,
        title=seen.title,
        culprit=seen.culprit,
        level=seen.level,
    )
