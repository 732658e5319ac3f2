"""Turns: an absolute schedule per check, each turn claimed by exactly one process."""

import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks.models import HealthCheck, HealthState
from mainstay_server.areas.health_checks.schemas.orders import ProbeOrder
from mainstay_server.kernel import leases

from . import configs

LEASE = timedelta(seconds=15)
MOST_CLAIMED_AT_ONCE = 500


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


def is_watched() -> sa.ColumnElement[bool]:
    """The SQL of `HealthCheck.is_watched`."""
    return sa.and_(HealthCheck.target != "", HealthCheck.paused.is_(False))


def is_due(*, until: datetime, now: datetime) -> sa.ColumnElement[bool]:
    """Whether a check has a turn up to `until` that nobody holds at `now`."""
    return sa.and_(is_watched(), HealthCheck.next_at <= until, _is_free(now))


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
    claimed = session.scalars(
        sa.update(HealthCheck)
        .where(HealthCheck.id.in_(due), _is_free(now))
        .values(owner=owner, fence=HealthCheck.fence + 1, claimed_until=now + LEASE)
        .returning(HealthCheck)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return [_order(check, at=check.next_at, fence=check.fence) for check in claimed]


def orders_now(
    session: Session, condition: sa.ColumnElement[bool], *, now: datetime
) -> list[ProbeOrder]:
    """Orders to ask at once, beside the schedule and without a claim."""
    found = session.scalars(sa.select(HealthCheck).where(condition, HealthCheck.target != ""))
    return [_order(check, at=now, fence=None) for check in found]


def renew(session: Session, fences: Mapping[str, int], *, now: datetime) -> None:
    """Keep what this process is asking at the moment; what it lost meanwhile stays lost."""
    for check_id, fence in fences.items():
        session.execute(
            sa.update(HealthCheck)
            .where(HealthCheck.id == check_id, HealthCheck.fence == fence)
            .values(claimed_until=now + LEASE)
            .execution_options(synchronize_session=False)
        )


def give_back(session: Session, fences: Mapping[str, int]) -> None:
    """Let go of turns that were claimed and will not be asked by this process."""
    for check_id, fence in fences.items():
        session.execute(
            sa.update(HealthCheck)
            .where(HealthCheck.id == check_id, HealthCheck.fence == fence)
            .values(owner="", claimed_until=None)
            .execution_options(synchronize_session=False)
        )


def release_dead_owners(session: Session) -> None:
    """Free at once what killed processes of this host were asking."""
    dead = leases.dead_owners(session, HealthCheck.owner)
    session.execute(
        sa.update(HealthCheck)
        .where(HealthCheck.owner.in_(dead))
        .values(owner="", claimed_until=None)
    )


def _is_free(now: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(HealthCheck.claimed_until.is_(None), HealthCheck.claimed_until < now)


def _order(check: HealthCheck, *, at: datetime, fence: int | None) -> ProbeOrder:
    return ProbeOrder(
        check_id=check.id,
        instance_id=check.instance_id,
        kind=check.kind,
        url=check.url,
        target=check.target,
        host=configs.host_of(check),
        config=configs.opened(check),
        conditions=tuple(check.conditions),
        interval_seconds=check.interval_seconds,
        timeout_seconds=check.timeout_seconds,
        degraded_after_ms=check.degraded_after_ms,
        state=HealthState(check.state),
        at=at,
        fence=fence,
    )
