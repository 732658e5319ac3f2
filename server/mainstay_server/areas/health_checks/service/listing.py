"""The health checks of a project, many at once: found, counted, and how each of a page did."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks import columns
from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.contracts.maintenance import MOST_WINDOWS, list_windows
from mainstay_server.kernel.batching import batched
from mainstay_server.kernel.pagination import Page, decode_cursor, decode_moment, page_of
from mainstay_server.kernel.problems import NotFound
from mainstay_server.kernel.watching import (
    SEVERITY,
    Span,
    Spell,
    State,
    disjoint,
    read_spells,
    sum_spells,
    uptime_of,
    windows_of,
    worst_in_slots,
)
from mainstay_server.tenancy.subjects import instances_of_project

from .exposing import Latest

PER_PAGE = 50
MOST_PAGES = 200
SLOTS = 48
LONGEST_SEARCH = 200
MOST_EXPOSED = 10_000
MOST_PARENTS = 500
DAY, MONTH = timedelta(days=1), timedelta(days=30)
# Spells are read for so many checks at a time, so that none of them can crowd out all others.
AT_ONCE = 10
WORST_FIRST = {
    State.UNHEALTHY: 0,
    State.DEGRADED: 1,
    State.UNREACHABLE: 2,
    State.UNKNOWN: 3,
    State.HEALTHY: 4,
    State.PAUSED: 5,
}
Order = Literal["state", "name", "response", "changed"]


@dataclass(frozen=True, kw_only=True)
class CheckFilter:
    """Which checks of a project; an empty field stands for all."""

    text: str = ""
    state: State | None = None
    kind: str = ""
    tag: str = ""
    instance_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Found:
    """One page of checks, and how many there are on all."""

    checks: Sequence[HealthCheck]
    total: int
    page: int

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(-(-self.total // PER_PAGE), 1)


@dataclass(frozen=True, kw_only=True)
class Record:
    """How a check did: uptime in percent, None where nothing is known; times in milliseconds."""

    day: float | None
    month: float | None
    p95_ms: float | None
    slots: Sequence[tuple[datetime, State | None]]


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What a project's checks can be narrowed to, and how many are in each state."""

    states: dict[State, int]
    kinds: Sequence[str]
    tags: Sequence[str]

    @property
    def total(self) -> int:
        """How many checks there are."""
        return sum(self.states.values())


def find_checks(
    session: Session, project_id: str, wanted: CheckFilter, *, order: Order, page: int
) -> Found:
    """The checks of a project that match, one page of them; the last for a page beyond it."""
    conditions = _conditions(project_id, wanted)
    total = session.scalar(sa.select(sa.func.count()).where(*conditions)) or 0
    page = max(min(page, -(-total // PER_PAGE), MOST_PAGES), 1)
    rows = session.scalars(
        sa.select(HealthCheck)
        .where(*conditions)
        .order_by(*_ordering(order), HealthCheck.id)
        .limit(PER_PAGE)
        .offset((page - 1) * PER_PAGE)
    )
    return Found(checks=rows.all(), total=total, page=page)


def choices_of(session: Session, project_id: str) -> Choices:
    """What there is to choose from."""
    of_project = HealthCheck.project_id == project_id
    counted = session.execute(
        sa.select(HealthCheck.state, sa.func.count()).where(of_project).group_by(HealthCheck.state)
    )
    kinds = session.scalars(sa.select(HealthCheck.kind).where(of_project).distinct())
    # As texts: PostgreSQL compares no JSON.
    tags = session.scalars(
        sa.select(sa.cast(HealthCheck.tags, sa.Text)).where(of_project).distinct()
    )
    return Choices(
        states={State(state): count for state, count in counted},
        kinds=sorted(kinds),
        tags=sorted({tag for several in tags for tag in json.loads(several)}),
    )


def get_checks(session: Session, project_id: str, ids: Sequence[str]) -> Sequence[HealthCheck]:
    """The checks of a project with these ids, at most a page of them; others are left out."""
    return session.scalars(
        sa.select(HealthCheck)
        .where(HealthCheck.project_id == project_id, HealthCheck.id.in_(list(ids)[:PER_PAGE]))
        .order_by(HealthCheck.id)
    ).all()


def list_of_instance(
    session: Session, instance_id: str, *, limit: int, cursor: str
) -> Page[HealthCheck]:
    """A page of the checks of an instance: the one that follows its URL, then by age."""
    is_further = sa.case((HealthCheck.default_of.is_(None), 1), else_=0)
    order = (is_further, HealthCheck.created_at, HealthCheck.id)
    statement = sa.select(HealthCheck).where(HealthCheck.instance_id == instance_id)
    after = decode_cursor(cursor, parts=len(order))
    if after is not None:
        position = (int(after[0] != "0"), decode_moment(after[1]), str(after[2]))
        statement = statement.where(sa.tuple_(*order) > position)
    found = session.scalars(statement.order_by(*order).limit(limit + 1)).all()
    return page_of(found, limit=limit, key=_place)


def further_of(
    session: Session, main: HealthCheck, *, limit: int
) -> tuple[Sequence[HealthCheck], int]:
    """The other checks of an instance, those in trouble first, and how many there are."""
    others = (HealthCheck.instance_id == main.instance_id, HealthCheck.id != main.id)
    gravity = {state.value: -grade for state, grade in SEVERITY.items()}
    rows = session.scalars(
        sa.select(HealthCheck)
        .where(*others)
        .order_by(
            sa.case(gravity, value=HealthCheck.state, else_=0), HealthCheck.name, HealthCheck.id
        )
        .limit(limit)
    )
    return rows.all(), session.scalar(sa.select(sa.func.count()).where(*others)) or 0


def find_parents(session: Session, project_id: str) -> list[HealthCheck]:
    """The checks that another may depend on, by name, at most 500."""
    return list(
        session.scalars(
            sa.select(HealthCheck)
            .where(HealthCheck.project_id == project_id)
            .order_by(sa.func.lower(HealthCheck.name), HealthCheck.id)
            .limit(MOST_PARENTS)
        )
    )


def get_check_of_project(session: Session, project_id: str, check_id: str) -> HealthCheck:
    """The check of that project; raises `NotFound`."""
    check = session.scalar(
        sa.select(HealthCheck).where(
            HealthCheck.id == check_id, HealthCheck.project_id == project_id
        )
    )
    if check is None:
        raise NotFound("There is no such health check; look at the list of the project.")
    return check


def records_of(
    session: Session, checks: Sequence[HealthCheck], *, now: datetime
) -> dict[str, Record]:
    """How each check did in the last 24 hours and 30 days."""
    times = {
        row["health_check_id"]: row["p95"]
        for row in columns.ask_p95_by_check(
            sorted({check.instance_id for check in checks}),
            [check.id for check in checks],
            since=now - DAY,
            until=now,
        )
        if row["answered"]
    }
    windows = _windows_of_each(session, checks, now=now)
    spared = [check for check in checks if windows[check.id]]
    months = sum_spells(
        session,
        [check for check in checks if not windows[check.id]],
        since=now - MONTH,
        until=now,
        now=now,
    )
    spells = _spells_of_each(session, spared, since=now - MONTH, now=now)
    for check in spared:
        months[check.id] = uptime_of(
            spells[check.id], since=now - MONTH, until=now, without=windows[check.id]
        )
    days = _spells_of_each(session, checks, since=now - DAY, now=now)
    return {
        check.id: Record(
            day=uptime_of(
                days[check.id], since=now - DAY, until=now, without=windows[check.id]
            ).percent,
            month=months[check.id].percent,
            p95_ms=times.get(check.id),
            slots=worst_in_slots(days[check.id], since=now - DAY, until=now, count=SLOTS),
        )
        for check in checks
    }


def latest_of(session: Session, project_id: str, *, now: datetime) -> list[Latest]:
    """Every check of a project with its newest result of the last day, at most 10,000."""
    checks = session.scalars(
        sa.select(HealthCheck)
        .where(HealthCheck.project_id == project_id)
        .order_by(HealthCheck.id)
        .limit(MOST_EXPOSED)
    ).all()
    environments = {each.id: each.environment for each in instances_of_project(session, project_id)}
    rows = columns.ask_latest_by_check(list(environments), since=now - DAY, until=now)
    by_check = {row["health_check_id"]: row for row in rows}
    return [
        Latest(
            check=check,
            environment=environments.get(check.instance_id, ""),
            row=by_check.get(check.id),
        )
        for check in checks
    ]


def _spells_of_each(
    session: Session, checks: Sequence[HealthCheck], *, since: datetime, now: datetime
) -> dict[str, list[Spell]]:
    found: dict[str, list[Spell]] = {}
    for some in batched(checks, AT_ONCE):
        found |= read_spells(session, some, since=since, until=now, now=now)
    return found


def _windows_of_each(
    session: Session, checks: Sequence[HealthCheck], *, now: datetime
) -> dict[str, Sequence[Span]]:
    """The maintenance of each check in the last 30 days; the project's is read once for all."""
    if not checks or not list_windows.is_answered:
        return {check.id: () for check in checks}
    planned = list_windows(session, checks[0].project_id, since=now - MONTH, until=now, now=now)
    if len(planned) >= MOST_WINDOWS:  # there may be more than were listed
        return {
            check.id: windows_of(session, check, since=now - MONTH, until=now) for check in checks
        }
    return {
        check.id: disjoint(
            each for each in planned if each.scope.covers(check.instance_id, check.tags, check.id)
        )
        for check in checks
    }


def _place(check: HealthCheck) -> tuple[str, ...]:
    return ("1" if check.default_of is None else "0", check.created_at.isoformat(), check.id)


def _conditions(project_id: str, wanted: CheckFilter) -> list[sa.ColumnElement[bool]]:
    conditions = [HealthCheck.project_id == project_id]
    conditions += [_says(word) for word in wanted.text[:LONGEST_SEARCH].split()]
    if wanted.state is not None:
        conditions.append(HealthCheck.state == wanted.state)
    if wanted.kind:
        conditions.append(HealthCheck.kind == wanted.kind)
    if wanted.tag:
        # A list of texts lies as its JSON, in which a tag stands between quotes.
        quoted = json.dumps(wanted.tag)
        conditions.append(sa.cast(HealthCheck.tags, sa.Text).contains(quoted, autoescape=True))
    if wanted.instance_id:
        conditions.append(HealthCheck.instance_id == wanted.instance_id)
    return conditions


def _says(word: str) -> sa.ColumnElement[bool]:
    return sa.or_(
        HealthCheck.name.icontains(word, autoescape=True),
        HealthCheck.target.icontains(word, autoescape=True),
        sa.cast(HealthCheck.tags, sa.Text).icontains(word, autoescape=True),
        HealthCheck.state_reason.icontains(word, autoescape=True),
    )


def _ordering(order: Order) -> Sequence[sa.ColumnElement[Any]]:
    name = sa.func.lower(HealthCheck.name)
    match order:
        case "name":
            return (name,)
        case "response":
            return (sa.func.coalesce(HealthCheck.last_response_ms, -1).desc(), name)
        case "changed":
            return (HealthCheck.state_since.desc(), name)
        case "state":
            ranks = {state.value: rank for state, rank in WORST_FIRST.items()}
            return (sa.case(ranks, value=HealthCheck.state, else_=9), name)
