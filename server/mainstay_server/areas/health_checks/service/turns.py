"""Turns: an absolute schedule per check, each turn claimed by exactly one process."""

import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session

from mainstay_server.areas.health_checks.models import HealthCheck, HealthState
from mainstay_server.areas.health_checks.schemas.orders import ProbeOrder
from mainstay_server.kernel import leases
from mainstay_server.kernel.database import Base, rows_changed

from . import configs

LEASE = timedelta(seconds=15)
MOST_CLAIMED_AT_ONCE = 1_000
SKEW = timedelta(seconds=60)  # clocks of several hosts differ by less than this
LONGEST_TURN = timedelta(minutes=10)  # both tries at their longest, and their waits for room


def next_turn(check_id: str, interval_seconds: int, after: datetime) -> datetime:
    """The first turn later than `after`: a multiple of the interval plus the check's own offset.

    The offset comes from the id, so that checks of one interval spread over it and a restart
    neither skips nor adds a turn.
    """
    interval_ms = interval_seconds * 1000
    offset_ms = zlib.crc32(check_id.encode()) % interval_ms
    after_ms = int(after.timestamp() * 1000)
    turn_ms = ((after_ms - offset_ms) // interval_ms + 1) * interval_ms + offset_ms
    return datetime.fromtimestamp(turn_ms / 1000, tz=UTC)


def turn_after(order: ProbeOrder, *, finished_at: datetime) -> datetime:
    """The turn that follows one that was asked: not its very next, where it outlasted several.

    A turn that was planned far ahead of its own end was planned by a clock that was wrong.
    """
    planned = order.at if order.at - finished_at < SKEW else finished_at
    return next_turn(order.check_id, order.interval_seconds, max(planned, finished_at))


def allowance(timeout_seconds: int, *, grace_seconds: float) -> timedelta:
    """How much later than its interval a result may come: both tries and the grace."""
    return timedelta(seconds=2 * timeout_seconds + grace_seconds)


def is_watched() -> sa.ColumnElement[bool]:
    """The SQL of `HealthCheck.is_watched`."""
    return sa.and_(HealthCheck.target != "", HealthCheck.paused.is_(False))


def is_due(*, until: datetime, now: datetime) -> sa.ColumnElement[bool]:
    """Whether a check has a turn up to `until` that nobody holds at `now`."""
    return sa.and_(
        is_watched(), HealthCheck.asked_here.is_(True), HealthCheck.next_at <= until, _is_free(now)
    )


def claim_due(
    session: Session, *, until: datetime, now: datetime, owner: str, limit: int
) -> list[ProbeOrder]:
    """Claim turns up to `until`, the most overdue first, for the time of the lease.

    Several processes may do this at the same moment. Finding and claiming is one statement: a
    turn comes back only to the one that changed the row.
    """
    due = (
        sa.select(HealthCheck.id)
        .where(is_due(until=until, now=now))
        .order_by(HealthCheck.next_at)
        .limit(min(limit, MOST_CLAIMED_AT_ONCE))
        .with_for_update(skip_locked=True)
    )
    # Columns and not objects: a claim of hundreds a second needs none of what the ORM keeps.
    claimed = session.execute(
        sa.update(HealthCheck)
        .where(HealthCheck.id.in_(due), _is_free(now))
        .values(owner=owner, fence=HealthCheck.fence + 1, claimed_until=now + LEASE)
        .returning(*_ORDERED, HealthCheck.next_at, HealthCheck.fence)
        .execution_options(synchronize_session=False)
    ).all()
    session.expire_all()
    return [_order(row, at=row.next_at, fence=row.fence) for row in claimed]


def orders_now(
    session: Session, condition: sa.ColumnElement[bool], *, now: datetime
) -> list[ProbeOrder]:
    """Orders to ask at once, beside the schedule and without a claim."""
    found = session.execute(sa.select(*_ORDERED).where(condition, HealthCheck.target != ""))
    return [_order(row, at=now, fence=None) for row in found]


def order_at(check: HealthCheck, *, at: datetime) -> ProbeOrder:
    """The order that somebody elsewhere carried out, as if it had been claimed here."""
    return _order(check, at=at, fence=None)


def renew(session: Session, fences: Mapping[str, int], *, now: datetime) -> None:
    """Keep what this process is asking at the moment; what it lost meanwhile stays lost."""
    _write_held(session, fences, {"claimed_until": now + LEASE})


def give_back(session: Session, fences: Mapping[str, int]) -> None:
    """Let go of turns that were claimed and will not be asked by this process."""
    _write_held(session, fences, {"owner": "", "claimed_until": None})


def _write_held(session: Session, fences: Mapping[str, int], values: dict[str, object]) -> None:
    if fences:
        session.connection().execute(
            _HELD, [{"check": id_, "held": fence, **values} for id_, fence in fences.items()]
        )


def mend_future(session: Session, *, now: datetime) -> int:
    """Bring back what lies in a future that a wrong clock made up; returns how many checks.

    A turn is never further away than one interval, and nothing was seen later than now. Where the
    clock was set back, checks would otherwise rest until it has caught up again.
    """
    mended = 0
    for seconds in session.scalars(sa.select(HealthCheck.interval_seconds).distinct()).all():
        furthest = now + timedelta(seconds=seconds) + SKEW
        mended += rows_changed(
            session,
            sa.update(HealthCheck)
            .where(
                HealthCheck.interval_seconds == seconds,
                sa.or_(
                    HealthCheck.next_at > furthest,
                    HealthCheck.watched_until > furthest + LONGEST_TURN,
                    HealthCheck.last_result_at > now + SKEW,
                ),
            )
            .values(
                next_at=sa.case((HealthCheck.next_at > furthest, now), else_=HealthCheck.next_at),
                watched_until=sa.case(
                    (HealthCheck.watched_until > furthest, now + timedelta(seconds=seconds)),
                    else_=HealthCheck.watched_until,
                ),
                silent_at=sa.case(
                    (HealthCheck.watched_until > furthest, now + 2 * timedelta(seconds=seconds)),
                    else_=HealthCheck.silent_at,
                ),
                last_result_at=sa.case(
                    (HealthCheck.last_result_at > now, now), else_=HealthCheck.last_result_at
                ),
            )
            .execution_options(synchronize_session=False),
        )
    return mended


def release_dead_owners(session: Session) -> None:
    """Free at once what killed processes of this host were asking."""
    dead = leases.dead_owners(session, HealthCheck.owner)
    session.execute(
        sa.update(HealthCheck)
        .where(HealthCheck.owner.in_(dead))
        .values(owner="", claimed_until=None)
    )


def _is_free(now: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(
        HealthCheck.claimed_until.is_(None),
        HealthCheck.claimed_until < now,
        HealthCheck.claimed_until > now + LEASE + SKEW,  # claimed by a clock that was wrong
    )


def _order(row: configs.Asked, *, at: datetime, fence: int | None) -> ProbeOrder:
    return ProbeOrder(
        check_id=row.id,
        instance_id=row.instance_id,
        kind=row.kind,
        url=row.url,
        target=row.target,
        host=_host_of_url(row.url) if row.kind == "http" else configs.host_of(row),
        config=configs.opened(row),
        conditions=tuple(row.conditions),
        interval_seconds=row.interval_seconds,
        timeout_seconds=row.timeout_seconds,
        degraded_after_ms=row.degraded_after_ms,
        state=HealthState(row.state),
        at=at,
        fence=fence,
    )


@lru_cache(maxsize=10_000)
def _host_of_url(url: str) -> str:
    """The usual kind's host; reading a whole config for it would cost more than the claim."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


_ORDERED: tuple[InstrumentedAttribute[Any], ...] = (
    HealthCheck.id,
    HealthCheck.instance_id,
    HealthCheck.kind,
    HealthCheck.url,
    HealthCheck.target,
    HealthCheck.config,
    HealthCheck.conditions,
    HealthCheck.interval_seconds,
    HealthCheck.timeout_seconds,
    HealthCheck.degraded_after_ms,
    HealthCheck.state,
)
_CHECKS = Base.metadata.tables[HealthCheck.__tablename__]
_HELD = _CHECKS.update().where(
    _CHECKS.c.id == sa.bindparam("check"), _CHECKS.c.fence == sa.bindparam("held")
)
