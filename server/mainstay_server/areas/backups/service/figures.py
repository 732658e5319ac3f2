"""What one asks of a target at a glance: is it well, what would be lost, how long a restore takes.

Two figures are measured and not promised. What would be lost (the recovery point) is the time since
the newest stored backup began, for its content is of that moment. How long a restore takes (the
recovery time) is what the last drill that passed took to restore and to compare.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import (
    STORED,
    THERE,
    UNDER_WAY,
    Backup,
    BackupCopy,
    BackupDrill,
    BackupStatus,
    BackupTarget,
    DrillStatus,
)

MOST_RUNS = 90
CALENDAR_DAYS = 91  # thirteen whole weeks
MOST_IN_CALENDAR = 5_000
WORST_OVER = timedelta(days=30)
GRAVEST = (
    BackupStatus.FAILED,
    BackupStatus.DEGRADED,
    BackupStatus.CANCELLED,
    BackupStatus.RUNNING,
    BackupStatus.QUEUED,
    BackupStatus.SUCCEEDED,
)


@dataclass(frozen=True)
class Run:
    """A backup as the strip of runs and the charts see it."""

    id: str
    status: BackupStatus
    queued_at: datetime
    started_at: datetime | None
    plain_bytes: int
    sealed_bytes: int
    is_verified: bool
    is_removed: bool
    is_spoilt: bool = False

    @property
    def is_stored(self) -> bool:
        """Whether it was stored, and is still there in a copy without a known fault."""
        return self.status in STORED and not self.is_removed and not self.is_spoilt


@dataclass(frozen=True)
class Figures:
    """One target's figures. `runs` are its last ones, oldest first, at most 90."""

    runs: Sequence[Run] = ()
    restore_seconds: float | None = None
    drilled_at: datetime | None = None
    verified_at: datetime | None = None
    stored_count: int = 0
    stored_bytes: int = 0

    @property
    def last(self) -> Run | None:
        """The newest one that has ended."""
        return next((run for run in reversed(self.runs) if run.status not in UNDER_WAY), None)

    @property
    def under_way(self) -> Run | None:
        """One that runs or waits for its turn, the one that runs first."""
        found = [run for run in self.runs if run.status in UNDER_WAY]
        return next((run for run in found if run.status is BackupStatus.RUNNING), None) or next(
            iter(found), None
        )

    @property
    def newest_stored_at(self) -> datetime | None:
        """When the newest backup that is there began."""
        stored = [run.started_at or run.queued_at for run in self.runs if run.is_stored]
        return max(stored, default=None)

    def exposed_seconds(self, now: datetime) -> float | None:
        """How much would be lost if the target were gone now; None without any backup."""
        newest = self.newest_stored_at
        return None if newest is None else max(0.0, (now - newest).total_seconds())

    def worst_gap_seconds(self, now: datetime) -> float | None:
        """The longest time between two stored ones of `runs`, of 30 days at most, and until now."""
        moments = [
            run.started_at or run.queued_at
            for run in self.runs
            if run.status in STORED and run.queued_at > now - WORST_OVER
        ]
        gaps = [(after - before).total_seconds() for before, after in pairwise(moments)]
        return max([*gaps, (now - moments[-1]).total_seconds()]) if moments else None


def figures_of(session: Session, target_ids: Sequence[str]) -> dict[str, Figures]:
    """The figures of several targets, in four statements however many there are."""
    runs = _runs(session, target_ids)
    drills = _last_passed(session, target_ids)
    verified = _verified(session, target_ids)
    stored = _stored(session, target_ids)
    found = {}
    for each in target_ids:
        seconds, drilled_at = drills.get(each, (None, None))
        count, size = stored.get(each, (0, 0))
        found[each] = Figures(
            runs=runs.get(each, ()),
            restore_seconds=seconds,
            drilled_at=drilled_at,
            verified_at=verified.get(each),
            stored_count=count,
            stored_bytes=size,
        )
    return found


@dataclass
class Day:
    """The runs of one day in UTC, by how they ended."""

    date: date
    counts: dict[BackupStatus, int] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """The gravest that happened, or `none`."""
        return next((status.value for status in GRAVEST if self.counts.get(status)), "none")

    @property
    def total(self) -> int:
        """How many runs there were."""
        return sum(self.counts.values())


def calendar_of(session: Session, target_id: str, *, now: datetime) -> list[Day]:
    """The last 91 days, oldest first, with the runs of each; at most 5,000 runs are counted."""
    today = now.astimezone(UTC).date()
    first = today - timedelta(days=CALENDAR_DAYS - 1)
    days = {first + timedelta(days=n): Day(first + timedelta(days=n)) for n in range(CALENDAR_DAYS)}
    rows = session.execute(
        sa.select(Backup.queued_at, Backup.status)
        .where(
            Backup.target_id == target_id, Backup.queued_at >= datetime.combine(first, time(), UTC)
        )
        .order_by(Backup.queued_at.desc())
        .limit(MOST_IN_CALENDAR)
    )
    for queued_at, status in rows:
        day = days.get(queued_at.date())
        if day is not None:
            word = BackupStatus(status)
            day.counts[word] = day.counts.get(word, 0) + 1
    return list(days.values())


def targets_of_instances(
    session: Session, instance_ids: Iterable[str]
) -> Mapping[str, list[BackupTarget]]:
    """The targets of several instances by the instance, each list by name."""
    ids = list(instance_ids)
    found: dict[str, list[BackupTarget]] = {each: [] for each in ids}
    rows = session.scalars(
        sa.select(BackupTarget)
        .where(BackupTarget.instance_id.in_(ids))
        .order_by(BackupTarget.name, BackupTarget.id)
    )
    for target in rows:
        found[target.instance_id].append(target)
    return found


def _runs(session: Session, target_ids: Sequence[str]) -> dict[str, list[Run]]:
    place = sa.func.row_number().over(
        partition_by=Backup.target_id, order_by=(Backup.queued_at.desc(), Backup.id.desc())
    )
    numbered = (
        sa.select(Backup.id, place.label("place"))
        .where(Backup.target_id.in_(target_ids))
        .subquery()
    )
    rows = session.execute(
        sa.select(
            Backup.target_id,
            Backup.id,
            Backup.status,
            Backup.queued_at,
            Backup.started_at,
            Backup.plain_bytes,
            Backup.sealed_bytes,
            Backup.verified_at,
            Backup.removed_at,
            _is_spoilt(),
        )
        .join(numbered, numbered.c.id == Backup.id)
        .where(numbered.c.place <= MOST_RUNS)
        .order_by(Backup.queued_at, Backup.id)
    )
    found: dict[str, list[Run]] = {}
    for target_id, backup_id, status, queued, started, plain, sealed, *ends in rows:
        verified, removed, is_spoilt = ends
        run = Run(
            id=backup_id,
            status=BackupStatus(status),
            queued_at=queued,
            started_at=started,
            plain_bytes=plain,
            sealed_bytes=sealed,
            is_verified=verified is not None,
            is_removed=removed is not None,
            is_spoilt=bool(is_spoilt),
        )
        found.setdefault(target_id, []).append(run)
    return found


def _is_spoilt() -> sa.ColumnElement[bool]:
    """Whether every copy of a backup that is there has a known fault: it protects from nothing."""
    faults = sa.select(sa.func.min(BackupCopy.fault)).where(
        BackupCopy.backup_id == Backup.id, BackupCopy.status.in_(THERE)
    )
    return sa.func.coalesce(faults.scalar_subquery(), "") != ""


def _last_passed(
    session: Session, target_ids: Sequence[str]
) -> dict[str, tuple[float | None, datetime | None]]:
    newest = (
        sa.select(sa.func.max(BackupDrill.id))
        .where(
            BackupDrill.target_id.in_(target_ids),
            BackupDrill.status == DrillStatus.PASSED,
            BackupDrill.is_opened.is_(True),
        )
        .group_by(BackupDrill.target_id)
    )
    rows = session.execute(
        sa.select(
            BackupDrill.target_id,
            BackupDrill.restore_seconds,
            BackupDrill.compare_seconds,
            BackupDrill.finished_at,
        ).where(BackupDrill.id.in_(newest))
    )
    return {
        target_id: ((restore or 0.0) + (compare or 0.0), finished)
        for target_id, restore, compare, finished in rows
    }


def _verified(session: Session, target_ids: Sequence[str]) -> dict[str, datetime]:
    rows = session.execute(
        sa.select(Backup.target_id, sa.func.max(Backup.verified_at))
        .where(Backup.target_id.in_(target_ids), Backup.verified_at.is_not(None))
        .group_by(Backup.target_id)
    )
    return {target_id: moment for target_id, moment in rows if moment is not None}


def _stored(session: Session, target_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    rows = session.execute(
        sa.select(
            Backup.target_id,
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(Backup.sealed_bytes), 0),
        )
        .where(
            Backup.target_id.in_(target_ids),
            Backup.status.in_(STORED),
            Backup.removed_at.is_(None),
            sa.not_(_is_spoilt()),
        )
        .group_by(Backup.target_id)
    )
    return {target_id: (count, int(size)) for target_id, count, size in rows}
