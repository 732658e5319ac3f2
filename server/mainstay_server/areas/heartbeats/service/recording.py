"""Recording: many reports in one transaction, each heartbeat changed once."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.heartbeats.models import Heartbeat, HeartbeatPing, Signal
from mainstay_server.areas.heartbeats.schemas.reports import (
    LONGEST_RUN,
    Report,
    Result,
)
from mainstay_server.kernel.watching import State

from .filters import signal_of
from .finding import Found, find_targets
from .states import (
    WITHOUT_ID,
    begin_run,
    end_run,
    moment,
    remember_recent,
    set_deadlines,
    trouble_of,
)
from .telling import move

ENDS = (Signal.SUCCESS, Signal.FAIL)
PRUNE_EVERY = 50
NOT_AT_ALL = timedelta(0)


def record_reports(
    session: Session, reports: Sequence[Report], *, kept: int, now: datetime
) -> list[Result]:
    """Record reports in the order they came, and say every change of state once.

    Every report of a heartbeat gets the next number and is kept, the latest `kept` of them. The
    heartbeats are locked in the order of their ids, so that processes that record side by side
    neither lose a number nor wait for each other. Returns what became of each report.
    """
    found = find_targets(session, [report.target for report in reports], now=now)
    rows: list[dict[str, Any]] = []
    results = []
    for report, one in zip(reports, found, strict=True):
        signal = ""
        if one.heartbeat is not None and not _is_known(session, one.heartbeat, report, rows):
            row = _fold(session, one.heartbeat, report)
            signal = row["signal"]
            rows.append(row)
        results.append(_result(one, signal))
    for heartbeat in {one.heartbeat for one in found if one.heartbeat is not None}:
        set_deadlines(heartbeat)
    session.flush()
    if rows:
        # Not as objects: a row that nobody reads again in this transaction costs a third.
        session.connection().execute(sa.insert(HeartbeatPing), rows)
    _prune(session, rows, kept=kept)
    return results


def _result(found: Found, signal: str) -> Result:
    if found.heartbeat is None:
        return Result(outcome=found.outcome)
    return Result(
        outcome=found.outcome,
        heartbeat_id=found.heartbeat.id,
        slug=found.heartbeat.slug,
        signal=signal,
    )


def _is_known(
    session: Session, heartbeat: Heartbeat, report: Report, rows: Iterable[dict[str, Any]]
) -> bool:
    """Whether the end of a run that is sent again was taken before, though its answer was lost."""
    if report.late is None or not report.run_id:
        return False
    kept = sa.select(HeartbeatPing.number).where(
        HeartbeatPing.heartbeat_id == heartbeat.id,
        HeartbeatPing.run_id == report.run_id,
        sa.or_(HeartbeatPing.signal.in_(ENDS), HeartbeatPing.exit_status.is_not(None)),
    )
    return session.scalar(kept.limit(1)) is not None or any(
        row["heartbeat_id"] == heartbeat.id
        and row["run_id"] == report.run_id
        and row["signal"] != Signal.START
        for row in rows
    )


def _fold(session: Session, heartbeat: Heartbeat, report: Report) -> dict[str, Any]:
    """Let one report change its heartbeat; returns the row to keep."""
    signal = signal_of(heartbeat, report)
    if heartbeat.state == State.PAUSED and heartbeat.manual_resume:
        signal = Signal.IGNORED
    run_id = _newest_run(heartbeat) if report.newest_run else report.run_id[:LONGEST_RUN]
    duration_ms = report.duration_ms
    if signal == Signal.START:
        begin_run(heartbeat, run_id, report.at)
    elif signal in ENDS:
        was_due = report.at - (report.late or NOT_AT_ALL)
        measured = end_run(heartbeat, run_id, signal, was_due)
        duration_ms = measured if duration_ms is None else duration_ms
        if report.late and heartbeat.last_ping_at and was_due < heartbeat.last_ping_at:
            signal = Signal.LOG  # a later run has ended since: that decides the state
        else:
            _end(session, heartbeat, report, signal, duration_ms)
    else:
        duration_ms = None
    heartbeat.pings_count += 1
    heartbeat.last_signal = signal
    return {
        "heartbeat_id": heartbeat.id,
        "number": heartbeat.pings_count,
        "at": report.at,
        "signal": signal,
        "scheme": report.scheme,
        "address": report.address,
        "method": report.method,
        "client": report.client,
        "run_id": run_id,
        "exit_status": report.exit_status,
        "duration_ms": duration_ms if signal in ENDS else None,
        "body": report.body or None,
        "body_bytes": len(report.body),
    }


def _end(
    session: Session,
    heartbeat: Heartbeat,
    report: Report,
    signal: Signal,
    duration_ms: int | None,
) -> None:
    """A run ended well or badly: that decides the state."""
    last = heartbeat.last_ping_at
    heartbeat.last_ping_at = report.at if last is None else max(last, report.at)
    heartbeat.counted_from, heartbeat.forgiven_until = heartbeat.last_ping_at, None
    if duration_ms is not None:
        heartbeat.last_duration_ms = duration_ms
    remember_recent(heartbeat, report.at)
    if signal == Signal.FAIL:
        code = report.exit_status
        reason = "it said that it failed" + (f", with exit status {code}" if code else "")
        count_failure(session, heartbeat, at=report.at, reason=reason)
        return
    heartbeat.failures_in_row = 0
    if heartbeat.state == State.UNHEALTHY:
        heartbeat.successes_in_row += 1
        if heartbeat.successes_in_row < heartbeat.recover_after:
            return
    trouble = trouble_of(heartbeat, duration_ms=duration_ms)
    state = State.DEGRADED if trouble else State.HEALTHY
    if heartbeat.state != state:
        move(session, heartbeat, state, at=report.at, reason=trouble)


def count_failure(session: Session, heartbeat: Heartbeat, *, at: datetime, reason: str) -> None:
    """One more failure or silence: an outage once there were `fail_after` of them in a row.

    While nothing is known of a job, the first one is believed at once.
    """
    heartbeat.successes_in_row = 0
    heartbeat.failures_in_row += 1
    forgiven = heartbeat.state in (State.HEALTHY, State.DEGRADED)
    if forgiven and heartbeat.failures_in_row < heartbeat.fail_after:
        return
    if heartbeat.state != State.UNHEALTHY:
        move(session, heartbeat, State.UNHEALTHY, at=at, reason=reason)


def _newest_run(heartbeat: Heartbeat) -> str:
    if not heartbeat.open_runs:
        return WITHOUT_ID
    return max(heartbeat.open_runs, key=lambda run: moment(heartbeat.open_runs[run]))


def _prune(session: Session, rows: Iterable[dict[str, Any]], *, kept: int) -> None:
    """Forget the reports beyond the latest `kept`, now and then."""
    newest = {row["heartbeat_id"]: row["number"] for row in rows}
    for row in rows:
        if row["number"] % PRUNE_EVERY == 0 and row["number"] > kept:
            session.execute(
                sa.delete(HeartbeatPing).where(
                    HeartbeatPing.heartbeat_id == row["heartbeat_id"],
                    HeartbeatPing.number <= newest[row["heartbeat_id"]] - kept,
                )
            )
