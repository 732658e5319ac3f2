"""Rows as the API tells them: nothing secret, and what is under way with how far it is."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from mainstay_server.areas.backups.models import (
    UNDER_WAY,
    BackupDestination,
    BackupDrill,
    BackupRestore,
    BackupTarget,
)
from mainstay_server.areas.backups.service import drill_places, holding
from mainstay_server.areas.backups.service.figures import Figures
from mainstay_server.areas.backups.service.runs import CopySeen
from mainstay_server.areas.backups.service.views import BackupView

from .run_shapes import (
    BackupAnswer,
    BackupCopyAnswer,
    BackupDifference,
    BackupDrillAnswer,
    BackupProgress,
    BackupRestoreAnswer,
)
from .shapes import (
    BackupDestinationAnswer,
    BackupFigures,
    BackupRetentionShape,
    BackupScheduleShape,
    BackupSummaryAnswer,
    BackupTargetAnswer,
)


def told_destination(row: BackupDestination, *, copies: int) -> BackupDestinationAnswer:
    """A destination without its keys."""
    return BackupDestinationAnswer(
        id=row.id,
        name=row.name,
        kind=row.kind,
        shown=row.shown,
        created_at=row.created_at,
        checked_at=row.checked_at,
        problem=row.problem,
        problem_since=row.problem_since,
        copies=copies,
    )


def told_target(
    row: BackupTarget,
    *,
    figures: Figures,
    destination_ids: Sequence[str],
    troubles: Sequence[str],
    now: datetime,
) -> BackupTargetAnswer:
    """A target without its secrets."""
    return BackupTargetAnswer(
        id=row.id,
        instance_id=row.instance_id,
        name=row.name,
        engine=row.engine,
        shown=row.shown,
        enabled=row.is_enabled,
        schedule=BackupScheduleShape(
            interval_hours=row.interval_hours, cron=row.cron, time_zone=row.time_zone
        ),
        retention=BackupRetentionShape(
            days=row.keep_days,
            count=row.keep_count,
            daily=row.keep_daily,
            weekly=row.keep_weekly,
            monthly=row.keep_monthly,
            yearly=row.keep_yearly,
        ),
        recipients=row.recipients,
        has_drill_key=bool(row.drill_key),
        drills=row.drills,
        drill_place_shown=drill_places.shown(row),
        too_small_percent=row.too_small_percent,
        has_heartbeat=bool(row.heartbeat_url),
        heartbeat_problem=row.heartbeat_problem,
        destination_ids=list(destination_ids),
        created_at=row.created_at,
        next_run_at=row.next_run_at if row.is_enabled else None,
        figures=told_figures(figures, now=now),
        troubles=list(troubles),
    )


def told_figures(figures: Figures, *, now: datetime) -> BackupFigures:
    """A target at a glance."""
    last = figures.last
    return BackupFigures(
        status=last.status if last else None,
        last_backup_id=last.id if last else None,
        last_backup_at=last.queued_at if last else None,
        last_verified_at=figures.verified_at,
        would_be_lost_seconds=figures.exposed_seconds(now),
        restore_seconds=figures.restore_seconds,
        stored_count=figures.stored_count,
        stored_bytes=figures.stored_bytes,
    )


def told_backup(view: BackupView) -> BackupAnswer:
    """A backup with its copies."""
    row = view.backup
    progress = None
    if row.status in UNDER_WAY and row.progress_at is not None:
        progress = BackupProgress(
            plain_bytes=row.plain_bytes,
            sealed_bytes=row.sealed_bytes,
            bytes_per_second=row.bytes_per_second,
            seconds_left=row.seconds_left,
            at=row.progress_at,
        )
    return BackupAnswer(
        id=row.id,
        target_id=row.target_id,
        target_name=view.target.name,
        instance_id=row.instance_id,
        engine=row.engine,
        kind=row.kind,
        status=row.status,
        reason=row.reason,
        queued_at=row.queued_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        cancel_asked_at=row.cancel_asked_at,
        progress=progress,
        plain_bytes=row.plain_bytes,
        sealed_bytes=row.sealed_bytes,
        verified_at=row.verified_at,
        kept=row.is_kept,
        removed_at=row.removed_at,
        notes=row.notes,
        copies=[_told_copy(each) for each in view.copies],
    )


def told_drill(row: BackupDrill) -> BackupDrillAnswer:
    """A drill with what it found."""
    return BackupDrillAnswer(
        id=row.id,
        backup_id=row.backup_id,
        destination_id=row.destination_id,
        status=row.status,
        step=row.step,
        progress=_told_progress(row),
        queued_at=row.queued_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        opened=row.is_opened,
        restore_seconds=row.restore_seconds,
        compare_seconds=row.compare_seconds,
        tables=row.tables,
        rows=row.rows,
        differences=told_differences(row.differences),
        reason=row.reason,
    )


def told_restore(row: BackupRestore) -> BackupRestoreAnswer:
    """A restore, without the key that opened the copy."""
    return BackupRestoreAnswer(
        id=row.id,
        backup_id=row.backup_id,
        to=row.shown,
        status=row.status,
        step=row.step,
        progress=_told_progress(row, bytes_per_second=row.bytes_per_second),
        queued_at=row.queued_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        safety_backup_id=row.safety_backup_id,
        differences=told_differences(row.differences),
        reason=row.reason,
    )


def told_differences(found: Iterable[Any]) -> list[BackupDifference]:
    """What was not as it was, as the rows keep it."""
    return [
        BackupDifference(
            name=str(each["name"]),
            what=each["what"],
            rows_before=each["rows"][0],
            rows_after=each["rows"][1],
        )
        for each in found
    ]


def told_summary(
    targets: Sequence[BackupTarget], figures: dict[str, Figures], *, now: datetime
) -> BackupSummaryAnswer:
    """An instance: the worst of what could be lost, the sum of what is stored."""
    all_of_them = [figures[each.id] for each in targets]
    verified = [each.verified_at for each in all_of_them if each.verified_at]
    exposed = [each.exposed_seconds(now) for each in all_of_them]
    known = [each for each in exposed if each is not None]
    restoring = [each.restore_seconds for each in all_of_them if each.restore_seconds is not None]
    return BackupSummaryAnswer(
        targets=len(targets),
        enabled=sum(each.is_enabled for each in targets),
        failing=sum(bool(each.troubles) for each in targets),
        never_verified=sum(each.verified_at is None for each in all_of_them),
        last_verified_at=min(verified, default=None) if len(verified) == len(targets) else None,
        would_be_lost_seconds=max(known) if known and len(known) == len(exposed) else None,
        restore_seconds=max(restoring, default=None),
        stored_count=sum(each.stored_count for each in all_of_them),
        stored_bytes=sum(each.stored_bytes for each in all_of_them),
    )


def _told_copy(view: CopySeen) -> BackupCopyAnswer:
    copy, destination = view.copy, view.destination
    return BackupCopyAnswer(
        destination_id=destination.id,
        destination_name=destination.name,
        kind=destination.kind,
        status=copy.status,
        reason=copy.reason,
        fault=copy.fault,
        stored_at=copy.stored_at,
        checked_at=copy.checked_at,
        locked_until=copy.locked_until,
    )


def _told_progress(
    row: BackupDrill | BackupRestore, *, bytes_per_second: float = 0.0
) -> BackupProgress | None:
    """How far a drill or restore is that has begun and not ended."""
    if row.status not in (holding.QUEUED, holding.RUNNING) or row.started_at is None:
        return None
    return BackupProgress(
        plain_bytes=row.plain_bytes,
        sealed_bytes=0,
        bytes_per_second=bytes_per_second,
        seconds_left=row.seconds_left,
    )
