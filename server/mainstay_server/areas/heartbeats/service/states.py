"""The rules of silence and trouble: when an outage begins and what a report amounts to.

Nothing here reads a clock or a database; what it needs of a heartbeat, it is given.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mainstay_server.areas.heartbeats.models import Heartbeat, Signal
from mainstay_server.kernel.watching import UP, State

from .schedules import next_due, schedule_of

LONGEST_RUN = timedelta(hours=72)
MOST_OPEN_RUNS = 20
WITHOUT_ID = ""


@dataclass(frozen=True)
class Deadline:
    """When silence becomes an outage, and why; `run_id` names the run that lasts too long."""

    at: datetime
    reason: str
    run_id: str | None = None


def due_after(heartbeat: Heartbeat) -> datetime | None:
    """When the next report is expected; None while nobody expects one.

    A report that comes up to `early_seconds` before its turn is the report of that turn.
    """
    if heartbeat.state not in (*UP, State.UNKNOWN) or heartbeat.counted_from is None:
        return None
    early = timedelta(seconds=heartbeat.early_seconds)
    return next_due(schedule_of(heartbeat), after=heartbeat.counted_from + early)


def deadline_of(heartbeat: Heartbeat) -> Deadline | None:
    """The first moment at which saying nothing is an outage; None when nothing is awaited.

    A run that goes on holds off the schedule when it has a longest duration of its own. Else the
    rule is that of Healthchecks: the earlier of the due time and the start, and the grace.
    """
    if heartbeat.state == State.UNHEALTHY:
        return None
    waiting = [_end_of_run(heartbeat, run) for run in heartbeat.open_runs]
    due = heartbeat.due_at
    runs_by_itself = waiting and heartbeat.max_duration_seconds is not None
    if due is not None and not runs_by_itself:
        waiting.append(_silence(heartbeat, due))
        if heartbeat.start_grace_seconds is not None and not waiting[:-1]:
            waiting.append(_never_started(due, heartbeat.start_grace_seconds))
    return min(waiting, key=lambda deadline: deadline.at) if waiting else None


def set_deadlines(heartbeat: Heartbeat) -> None:
    """Work out again when the next report is due, and when its absence is an outage."""
    heartbeat.due_at = due_after(heartbeat)
    deadline = deadline_of(heartbeat)
    heartbeat.alert_at = None
    if deadline is not None:
        heartbeat.alert_at = max(deadline.at, heartbeat.forgiven_until or deadline.at)


def trouble_of(heartbeat: Heartbeat, *, duration_ms: int | None) -> str:
    """What is wrong with a run that succeeded: it was too fast, or reports come too often."""
    least = heartbeat.min_duration_seconds
    if least is not None and duration_ms is not None and duration_ms < least * 1000:
        return f"too fast: it ended after {spoken(duration_ms / 1000)}, at least {spoken(least)}"
    if is_too_often(heartbeat):
        span = spoken(heartbeat.most_reports_seconds)
        return f"too often: more than {heartbeat.most_reports} reports within {span}"
    return ""


def remember_recent(heartbeat: Heartbeat, at: datetime) -> None:
    """Remember the latest reports, as many as it takes to see that there are too many."""
    if heartbeat.most_reports is None:
        if heartbeat.recent:
            heartbeat.recent = []
        return
    kept = heartbeat.recent[-heartbeat.most_reports :]
    heartbeat.recent = [*kept, at.isoformat()]


def is_too_often(heartbeat: Heartbeat) -> bool:
    """Whether one report more than allowed came within the span."""
    most = heartbeat.most_reports
    if most is None or len(heartbeat.recent) <= most:
        return False
    first, last = (moment(heartbeat.recent[index]) for index in (-most - 1, -1))
    return last - first < timedelta(seconds=heartbeat.most_reports_seconds)


def begin_run(heartbeat: Heartbeat, run_id: str, at: datetime) -> None:
    """A run started; one of the same id starts anew. Of more than 20 the oldest is forgotten."""
    runs = {run: start for run, start in heartbeat.open_runs.items() if run != run_id}
    runs[run_id] = at.isoformat()
    while len(runs) > MOST_OPEN_RUNS:
        del runs[next(iter(runs))]
    heartbeat.open_runs = runs
    heartbeat.last_start_at = at


def end_run(heartbeat: Heartbeat, run_id: str, signal: Signal, at: datetime) -> int | None:
    """A run ended; returns its duration in milliseconds when its start is known.

    A report without an id ends everything that runs, a failure also what runs without an id. What
    took 72 hours or more has no duration: its start was most likely that of another run.
    """
    started = heartbeat.open_runs.get(run_id)
    if heartbeat.open_runs:
        ended = set(heartbeat.open_runs) if run_id == WITHOUT_ID else {run_id}
        if signal == Signal.FAIL:
            ended.add(WITHOUT_ID)
        heartbeat.open_runs = {
            run: start for run, start in heartbeat.open_runs.items() if run not in ended
        }
    if started is None:
        return None
    took = at - moment(started)
    return round(took / timedelta(milliseconds=1)) if took < LONGEST_RUN else None


def forget_run(heartbeat: Heartbeat, run_id: str) -> None:
    """Stop waiting for a run that lasted too long."""
    heartbeat.open_runs = {
        run: start for run, start in heartbeat.open_runs.items() if run != run_id
    }


def moment(text: str) -> datetime:
    """A time as it lies in a JSON column."""
    return datetime.fromisoformat(text).astimezone(UTC)


def spoken(seconds: float) -> str:
    """A length of time as people say it: `45 s`, `10 min`, `2 h`, `3 days`."""
    if seconds < 60:  # noqa: PLR2004 - of a minute
        return f"{seconds:.3g} s"
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            amount = seconds / size
            text = f"{amount:.1f}".removesuffix(".0")
            return f"{text} {'day' if text == '1' and unit == 'days' else unit}"
    return f"{seconds:.0f} s"


def _end_of_run(heartbeat: Heartbeat, run_id: str) -> Deadline:
    seconds = heartbeat.max_duration_seconds
    allowed = heartbeat.grace_seconds if seconds is None else seconds
    started = moment(heartbeat.open_runs[run_id])
    which = f"run {run_id}" if run_id else "its run"
    return Deadline(
        started + timedelta(seconds=allowed),
        f"too long: {which} has not ended {spoken(allowed)} after its start",
        run_id,
    )


def _silence(heartbeat: Heartbeat, due: datetime) -> Deadline:
    late = spoken(heartbeat.grace_seconds)
    return Deadline(
        due + heartbeat.grace, f"no report: it was due at {told(due)}, and {late} of grace passed"
    )


def _never_started(due: datetime, allowed: int) -> Deadline:
    return Deadline(
        due + timedelta(seconds=allowed),
        f"never started: its start was due at {told(due)}, and {spoken(allowed)} passed",
    )


def told(at: datetime) -> str:
    """A moment in a reason."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
