"""Kinds: how many new ones of errors a project may have in an hour, and what becomes of the rest.

Whoever has a project's public ingest key can send errors that are each of a kind of its own, and so
can an app by mistake. Each would open an issue, say so, and stay for ever.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.errors.models import Issue
from mainstay_server.areas.errors.settings import ErrorsSettings
from mainstay_server.kernel.batching import batched
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.settings import of

from .grouping import issue_id_of
from .rows import Row

TOO_MANY = "too many different errors"
"""The grouping hash of the one issue per project that holds what is over the limit."""

TITLE = "Too many different errors"
CULPRIT = "more new kinds of errors within an hour than are kept apart"
LEVEL = "error"
HOUR = timedelta(hours=1)
MOST_REMEMBERED = 100_000
MOST_AT_ONCE = 5_000  # values in one statement, of which databases take some ten thousands


class Kinds:
    """Which issues are there, and whether another may be opened; used by one thread.

    A project gets `errors_new_issues_per_hour` new issues in any hour. What would open one more
    goes to its issue `TOO_MANY`; known kinds are never held back. The issues that the database has
    are asked for, so the limit holds over restarts and for all processes together, but for what
    they open in the moment before each other's issues are counted.
    """

    def __init__(self) -> None:
        self._known: dict[str, None] = {}
        self._granted: defaultdict[str, dict[str, datetime]] = defaultdict(dict)

    def divert(self, rows: Iterable[Row], *, now: datetime) -> None:
        """Give the rows over the limit the issue that holds them, before they are stored.

        What was granted and is not in the database yet counts until it is there, or for an hour if
        its batch was never stored.
        """
        unknown = [
            row for row in rows if row.issue_id not in self._known and row.grouping_hash != TOO_MANY
        ]
        if not unknown:
            return
        with reading() as session:
            self._look_up(session, unknown, now=now)
            new = [row for row in unknown if row.issue_id not in self._known]
            left = {
                project_id: self._left(session, project_id, now=now)
                for project_id in {row.project_id for row in new}
            }
        for row in new:
            granted = self._granted[row.project_id]
            if row.issue_id in granted:
                continue
            if left[row.project_id] > 0:
                left[row.project_id] -= 1
                granted[row.issue_id] = now
                continue
            row.grouping_hash = TOO_MANY
            row.issue_id = issue_id_of(row.project_id, TOO_MANY)

    def _look_up(self, session: Session, unknown: Sequence[Row], *, now: datetime) -> None:
        asked = {row.issue_id for row in unknown}
        for project_id in {row.project_id for row in unknown}:
            granted = self._granted[project_id]
            for issue_id in [one for one, since in granted.items() if since < now - HOUR]:
                del granted[issue_id]
            asked |= granted.keys()
        there = _of_these(session, sorted(asked))
        self._known.update(dict.fromkeys(there))
        for oldest in list(islice(self._known, max(0, len(self._known) - MOST_REMEMBERED))):
            del self._known[oldest]
        for project_id in {row.project_id for row in unknown}:
            for issue_id in there:
                self._granted[project_id].pop(issue_id, None)

    def _left(self, session: Session, project_id: str, *, now: datetime) -> int:
        """How many more a project may have: never counts more rows than the limit."""
        most = of(ErrorsSettings).errors_new_issues_per_hour
        recent = (
            sa.select(Issue.id)
            .where(Issue.project_id == project_id, Issue.first_seen > now - HOUR)
            .limit(most)
            .subquery()
        )
        opened = session.scalar(sa.select(sa.func.count()).select_from(recent)) or 0
        return most - opened - len(self._granted[project_id])


def _of_these(session: Session, issue_ids: Sequence[str]) -> list[str]:
    found: list[str] = []
    for some in batched(issue_ids, MOST_AT_ONCE):
        found += session.scalars(sa.select(Issue.id).where(Issue.id.in_(some)))
    return found


def explanation_of(issue: Issue) -> str:
    """What the issue that holds the rest tells people, with the fix; empty for all others."""
    if issue.grouping_hash != TOO_MANY:
        return ""
    most = of(ErrorsSettings).errors_new_issues_per_hour
    return (
        f"More than {most:,} kinds of errors that were never seen before came within an hour. Each"
        " further new kind is counted here instead of opening an issue of its own; kinds that were"
        f" known go on as ever. {FIX}"
    )


FIX = (
    "If the events are one error whose message or fingerprint differs each time, take out what"
    " varies: log a template with arguments, or send a fixed fingerprint. If they are not from your"
    " app, replace the ingest key on the settings page."
)
