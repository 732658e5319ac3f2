"""Months: what a subject amounted to in each, frozen once it is over, and uptime over any range."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from operator import add

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from mainstay_server.kernel.database import insert, rows_changed
from mainstay_server.kernel.jobs import job
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.subjects import Watched

from .folding import find_watched
from .models import RecordedSpell, SpellMonth, Watchable
from .settings import WatchingSettings
from .spells import read_spells
from .states import State
from .uptime import Uptime, uptime_of
from .windows import windows_of

# Results that were buffered elsewhere, and silences, are written down well within a day.
SETTLED_AFTER = timedelta(days=1)
MOST_FROZEN_AT_ONCE = 500
MOST_FORGOTTEN_AT_ONCE = 5_000
MOST_MONTHS = 1_200
NOTHING = Uptime(lasted=dict.fromkeys(State, timedelta()))


@dataclass(frozen=True, kw_only=True)
class Month:
    """A month (UTC) by its first day; what is not `frozen` may still change."""

    first: date
    uptime: Uptime
    frozen: bool


def uptime_over(
    session: Session,
    subject: Watchable | Watched,
    *,
    since: datetime,
    until: datetime,
    now: datetime,
) -> Uptime:
    """The uptime between two instants, maintenance left out: any range, however long ago.

    Whole months that are frozen count as they were frozen, all else by its spells; of a part of a
    month whose spells are not kept any more, nothing is known.
    """
    until = min(until, now)
    found, begin = [], since
    for row in _frozen(session, subject.id, since=since, until=until):
        first, following = _bounds(row.month)
        if begin < first:
            found.append(_by_spells(session, subject, since=begin, until=first, now=now))
        found.append(_thawed(row))
        begin = following
    if begin < until:
        found.append(_by_spells(session, subject, since=begin, until=until, now=now))
    return reduce(add, found, NOTHING)


def months_of(
    session: Session, subject: Watchable | Watched, *, newest: int, now: datetime
) -> Sequence[Month]:
    """The newest months of a subject in which it was watched, this one first."""
    start = _first_known(session, subject.id)
    if start is None:
        return []
    kept = {row.month: row for row in _frozen(session, subject.id, since=start, until=now)}
    wanted = sorted(_months_between(start, now), reverse=True)[:newest]
    return [
        Month(first=first, uptime=_thawed(kept[first]), frozen=True)
        if first in kept
        else Month(first=first, uptime=_of_month(session, subject, first, now=now), frozen=False)
        for first in wanted
    ]


def freeze(session: Session, subject: Watchable | Watched, first: date, *, now: datetime) -> None:
    """Keep what a month that is over amounted to, in place of what was kept of it before."""
    values = _frozen_values(_of_month(session, subject, first, now=now)) | {"frozen_at": now}
    session.execute(
        insert(SpellMonth)
        .values(subject_id=subject.id, month=first, instance_id=subject.instance_id, **values)
        .on_conflict_do_update(index_elements=["subject_id", "month"], set_=values)
    )


def refreeze(
    session: Session, subject: Watchable, *, since: datetime, until: datetime, now: datetime
) -> None:
    """Add up anew the frozen months that a range touches, after its spells were corrected."""
    months = sa.select(SpellMonth.month).where(
        SpellMonth.subject_id == subject.id,
        SpellMonth.month >= _first_of(since),
        SpellMonth.month < until.date() + timedelta(days=1),
    )
    for first in session.scalars(months).all():
        freeze(session, subject, first, now=now)


@job(every=timedelta(hours=1))
def freeze_months(session: Session, *, now: datetime) -> int:
    """Freeze the months of everything watched that ended more than a day ago, once each.

    A month that is frozen is left alone. Returns how many this call froze, at most 500.
    """
    this = _first_of(now - SETTLED_AFTER)
    last = _first_of(datetime(this.year, this.month, 1, tzinfo=UTC) - timedelta(days=1))
    earlier = aliased(RecordedSpell)
    # Of everything that is there, exactly one spell is open.
    unfrozen = sa.select(RecordedSpell.subject_id).where(
        RecordedSpell.ended_at.is_(None),
        sa.exists().where(
            earlier.subject_id == RecordedSpell.subject_id,
            earlier.started_at < datetime(this.year, this.month, 1, tzinfo=UTC),
        ),
        ~sa.exists().where(
            SpellMonth.subject_id == RecordedSpell.subject_id, SpellMonth.month == last
        ),
    )
    ids = session.scalars(unfrozen.limit(MOST_FROZEN_AT_ONCE)).all()
    frozen = 0
    for subject in find_watched(session, ids).values():
        for first in _to_freeze(session, subject.id, until=this):
            if frozen == MOST_FROZEN_AT_ONCE:
                return frozen
            freeze(session, subject, first, now=now)
            frozen += 1
    return frozen


@job(every=timedelta(hours=1), task="cleanup")
def forget_spells(session: Session, *, now: datetime) -> int:
    """Delete the spells of whole months that are older than is kept, once they are frozen.

    At most 5,000 an hour, so that writers behind it never wait long. Returns how many.
    """
    oldest = _first_of(now - timedelta(days=of(WatchingSettings).spells_kept_days))
    begin = datetime(oldest.year, oldest.month, 1, tzinfo=UTC)
    frozen = sa.exists().where(
        SpellMonth.subject_id == RecordedSpell.subject_id,
        SpellMonth.month == _first_of(begin - timedelta(days=1)),
    )
    old = (
        sa.select(RecordedSpell.id)
        .where(RecordedSpell.ended_at <= begin, frozen)
        .limit(MOST_FORGOTTEN_AT_ONCE)
    )
    return rows_changed(session, sa.delete(RecordedSpell).where(RecordedSpell.id.in_(old)))


def _of_month(
    session: Session, subject: Watchable | Watched, first: date, *, now: datetime
) -> Uptime:
    since, until = _bounds(first)
    return _by_spells(session, subject, since=since, until=min(until, now), now=now)


def _by_spells(
    session: Session,
    subject: Watchable | Watched,
    *,
    since: datetime,
    until: datetime,
    now: datetime,
) -> Uptime:
    spells = read_spells(session, [subject], since=since, until=until, now=now)[subject.id]
    windows = windows_of(session, subject, since=since, until=until)
    return uptime_of(spells, since=since, until=until, without=windows)


def _frozen(
    session: Session, subject_id: str, *, since: datetime, until: datetime
) -> Sequence[SpellMonth]:
    """The frozen months that lie in a range as a whole, oldest first."""
    rows = session.scalars(
        sa.select(SpellMonth)
        .where(SpellMonth.subject_id == subject_id, SpellMonth.month >= _first_of(since))
        .order_by(SpellMonth.month)
        .limit(MOST_MONTHS)
    )
    bounds = ((row, *_bounds(row.month)) for row in rows)
    return [row for row, first, following in bounds if since <= first and following <= until]


def _to_freeze(session: Session, subject_id: str, *, until: date) -> list[date]:
    start = _first_known(session, subject_id)
    kept = set(
        session.scalars(sa.select(SpellMonth.month).where(SpellMonth.subject_id == subject_id))
    )
    if start is None:
        return []
    end = datetime(until.year, until.month, 1, tzinfo=UTC)
    return [first for first in _months_between(start, end) if first not in kept]


def _first_known(session: Session, subject_id: str) -> datetime | None:
    """When the history of a subject begins, as far as it is kept."""
    spell = session.scalar(
        sa.select(sa.func.min(RecordedSpell.started_at)).where(
            RecordedSpell.subject_id == subject_id
        )
    )
    month = session.scalar(
        sa.select(sa.func.min(SpellMonth.month)).where(SpellMonth.subject_id == subject_id)
    )
    known = [] if spell is None else [spell]
    return min([*known, *([] if month is None else [_bounds(month)[0]])], default=None)


def _months_between(since: datetime, until: datetime) -> Iterator[date]:
    first = _first_of(since)
    while _bounds(first)[0] < until:
        yield first
        first = _first_of(_bounds(first)[1])


def _first_of(moment: datetime) -> date:
    return moment.astimezone(UTC).date().replace(day=1)


def _bounds(first: date) -> tuple[datetime, datetime]:
    begin = datetime(first.year, first.month, 1, tzinfo=UTC)
    following = begin + timedelta(days=32)
    return begin, following.replace(day=1)


def _frozen_values(uptime: Uptime) -> dict[str, object]:
    return {
        "seconds": {state.value: span.total_seconds() for state, span in uptime.lasted.items()},
        "maintenance_seconds": uptime.maintenance.total_seconds(),
    }


def _thawed(row: SpellMonth) -> Uptime:
    return Uptime(
        lasted={state: timedelta(seconds=row.seconds.get(state.value, 0)) for state in State},
        maintenance=timedelta(seconds=row.maintenance_seconds),
    )
