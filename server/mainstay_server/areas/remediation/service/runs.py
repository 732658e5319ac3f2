"""Runs: begun for an alert within limits, tried, verified, tried again, and given up in the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.remediation.models import (
    UNFINISHED,
    ActionKind,
    RemediationAction,
    RemediationRun,
    RemediationTry,
    RunState,
)
from mainstay_server.areas.remediation.schemas import MOST_SAID, RemediationTryDue
from mainstay_server.areas.remediation.settings import RemediationSettings
from mainstay_server.contracts.alerts import find_alert
from mainstay_server.contracts.remediation import (
    RemediationChanged,
    RemediationFailed,
    RemediationStarted,
    RemediationSucceeded,
)
from mainstay_server.kernel.database import new_id, rows_changed
from mainstay_server.kernel.events import say
from mainstay_server.kernel.pagination import Page, decode_cursor, page_of
from mainstay_server.kernel.settings import of
from mainstay_server.tenancy.models import Project

RUNS_FOR = timedelta(seconds=60)
REPORTED_WITHIN = timedelta(seconds=30)
FETCHED_WITHIN = timedelta(seconds=90)
MOST_AT_ONCE = 200
HEALED = "The alert is over."
SUPERSEDED = "Another alert took the place of this one."


@dataclass(frozen=True, kw_only=True)
class Ill:
    """What is to be put right: an alert, and where it is."""

    alert_id: str
    title: str
    project_id: str
    instance_id: str


def begin(
    session: Session, action: RemediationAction, ill: Ill, *, now: datetime
) -> RemediationRun | None:
    """Begin a run, within the limits; the first try is due at once.

    None when one of the same action and alert is under way. Of a dry run, and of one that the
    limits refuse, only a row is kept; it is ended, and its reason says why.

    The project is held meanwhile, so that a storm of alerts finds the limit where it is.
    """
    session.get_one(Project, action.project_id, with_for_update=True, populate_existing=True)
    if _under_way(session, action.id, ill.alert_id):
        return None
    refusal = _refusal(session, action, ill, now=now)
    state = RunState.LIMITED if refusal else RunState.WAITING
    if not refusal and action.dry_run:
        state, refusal = RunState.DRY, "A dry run: nothing was done."
    run = RemediationRun(
        id=new_id(),
        action_id=action.id,
        project_id=action.project_id,
        instance_id=ill.instance_id,
        alert_id=ill.alert_id,
        alert_title=ill.title[:200],
        state=state,
        tries=0,
        due_at=None if refusal else now,
        started_at=now,
        ended_at=now if refusal else None,
        reason=refusal,
    )
    session.add(run)
    session.flush()
    if not refusal:
        say(session, RemediationStarted(**about(action, run)), now=now)
        take_up(session, action, run, now=now)
    return run


def take_up(
    session: Session, action: RemediationAction, run: RemediationRun, *, now: datetime
) -> None:
    """Make the next try: a webhook is sent after the commit, a command waits for its probe."""
    run.tries += 1
    session.add(RemediationTry(id=new_id(), run_id=run.id, number=run.tries, began_at=now))
    if action.kind == ActionKind.COMMAND:
        run.state, run.due_at = RunState.WAITING, now + FETCHED_WITHIN
        session.flush()
        return
    mark_running(session, run, now=now)
    say(session, RemediationTryDue(run_id=run.id, number=run.tries), now=now)


def mark_running(session: Session, run: RemediationRun, *, now: datetime) -> None:
    """Somebody has the try in hand now, and reports within a while or is given up."""
    run.state, run.due_at = RunState.RUNNING, now + RUNS_FOR + REPORTED_WITHIN
    session.flush()


def record_try(
    session: Session, run_id: str, number: int, *, went_through: bool, said: str, now: datetime
) -> bool:
    """Write down how a try went; one that did is verified, one that did not is made again.

    Returns False for what nobody waits for any more.
    """
    run = session.get(RemediationRun, run_id, with_for_update=True, populate_existing=True)
    if run is None or run.state != RunState.RUNNING or run.tries != number:
        return False
    _close_try(session, run, went_through=went_through, said=said, now=now)
    action = session.get_one(RemediationAction, run.action_id)
    if went_through:
        run.state = RunState.VERIFYING
        run.due_at = now + timedelta(seconds=action.verify_seconds)
        session.flush()
    else:
        _again_or_never(session, action, run, said[:300], now=now)
    return True


def record_over(session: Session, alert_id: str, *, superseded_by: str = "", now: datetime) -> int:
    """An alert is over: what was tried for it is healed. Returns how many runs that ends.

    Where another alert took its place, it is as ill as before: what was tried has failed.
    """
    state, why = (RunState.FAILED, SUPERSEDED) if superseded_by else (RunState.HEALED, HEALED)
    runs = session.scalars(
        sa.select(RemediationRun)
        .where(RemediationRun.alert_id == alert_id, RemediationRun.state.in_(UNFINISHED))
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    for run in runs:
        _end(session, run, state, why, now=now)
    return len(runs)


def tend(session: Session, *, now: datetime) -> int:
    """Go on with what is due: try again, or give up what nobody fetched, reported or healed.

    Returns how many runs that were.
    """
    due = session.scalars(
        sa.select(RemediationRun)
        .where(RemediationRun.state.in_(UNFINISHED), RemediationRun.due_at <= now)
        .order_by(RemediationRun.due_at)
        .limit(MOST_AT_ONCE)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()
    for run in due:
        _go_on(session, run, now=now)
    return len(due)


def list_runs(
    session: Session, project_id: str, *, limit: int, cursor: str = "", alert_id: str = ""
) -> Page[RemediationRun]:
    """The runs of a project, the newest first. Raises `Invalid` for a strange cursor."""
    found = sa.select(RemediationRun).where(RemediationRun.project_id == project_id)
    if alert_id:
        found = found.where(RemediationRun.alert_id == alert_id)
    position = decode_cursor(cursor, parts=1)
    if position is not None:
        found = found.where(RemediationRun.id < str(position[0]))
    rows = session.scalars(found.order_by(RemediationRun.id.desc()).limit(limit + 1)).all()
    return page_of(rows, limit=limit, key=lambda run: (run.id,))


def tries_of(session: Session, run_ids: Sequence[str]) -> Mapping[str, Sequence[RemediationTry]]:
    """The tries of each run, in order."""
    found: dict[str, list[RemediationTry]] = {run_id: [] for run_id in run_ids}
    rows = session.scalars(
        sa.select(RemediationTry)
        .where(RemediationTry.run_id.in_(run_ids))
        .order_by(RemediationTry.number)
    )
    for each in rows:
        found[each.run_id].append(each)
    return found


def forget_ended(session: Session, *, before: datetime) -> int:
    """Delete runs that ended before an instant, at most 1,000 at once; returns how many."""
    old = (
        sa.select(RemediationRun.id)
        .where(RemediationRun.ended_at < before)
        .order_by(RemediationRun.ended_at)
        .limit(1000)
    )
    return rows_changed(session, sa.delete(RemediationRun).where(RemediationRun.id.in_(old)))


def _go_on(session: Session, run: RemediationRun, *, now: datetime) -> None:
    action = session.get_one(RemediationAction, run.action_id)
    if is_over(session, run):
        _end(session, run, RunState.HEALED, HEALED, now=now)
    elif not action.enabled:
        _end(session, run, RunState.FAILED, "The action was switched off meanwhile.", now=now)
    elif run.state == RunState.VERIFYING:
        why = f"The alert was not over {action.verify_seconds} s after the try."
        _again_or_never(session, action, run, why, now=now)
    elif run.state == RunState.PAUSING:
        take_up(session, action, run, now=now)
    else:
        fetched = run.state == RunState.RUNNING
        why = "Nobody reported how it went." if fetched else "The probe did not fetch the command."
        _close_try(session, run, went_through=False, said=why, now=now)
        _again_or_never(session, action, run, why, now=now)


def _again_or_never(
    session: Session, action: RemediationAction, run: RemediationRun, why: str, *, now: datetime
) -> None:
    """Another try after a pause; after the last one it is given up, and said so once."""
    if run.tries >= action.most_tries:
        _end(session, run, RunState.FAILED, why, now=now)
        return
    run.state, run.reason = RunState.PAUSING, why[:500]
    run.due_at = now + timedelta(seconds=action.pause_seconds)
    session.flush()


def _close_try(
    session: Session, run: RemediationRun, *, went_through: bool, said: str, now: datetime
) -> None:
    session.execute(
        sa.update(RemediationTry)
        .where(
            RemediationTry.run_id == run.id,
            RemediationTry.number == run.tries,
            RemediationTry.ended_at.is_(None),
        )
        .values(ended_at=now, went_through=went_through, said=said[-MOST_SAID:])
    )


def _end(
    session: Session, run: RemediationRun, state: RunState, reason: str, *, now: datetime
) -> None:
    action = session.get_one(RemediationAction, run.action_id)
    run.state, run.reason, run.ended_at, run.due_at = state, reason[:500], now, None
    session.flush()
    facts = about(action, run)
    said: RemediationChanged = RemediationFailed(**facts, tries=run.tries, reason=run.reason)
    if state is RunState.HEALED:
        said = RemediationSucceeded(**facts, tries=run.tries)
    say(session, said, now=now)


def _refusal(session: Session, action: RemediationAction, ill: Ill, *, now: datetime) -> str:
    """Why no run may begin now; "" when one may."""
    settings = of(RemediationSettings)
    really = RemediationRun.state.not_in((RunState.LIMITED, RunState.DRY))
    begun = session.scalar(
        sa.select(sa.func.count()).where(
            RemediationRun.project_id == action.project_id,
            RemediationRun.started_at > now - settings.window,
            really,
        )
    )
    if (begun or 0) >= settings.remediation_most_runs:
        return (
            f"{begun} runs began within {settings.remediation_window_minutes} minutes,"
            " which is as many as may."
        )
    cooling = session.scalar(
        sa.select(sa.func.count()).where(
            RemediationRun.action_id == action.id,
            RemediationRun.instance_id == ill.instance_id,
            really,
            sa.or_(
                RemediationRun.ended_at.is_(None),
                RemediationRun.ended_at > now - timedelta(seconds=action.cooldown_seconds),
            ),
        )
    )
    return "The action was just run on this instance, and cools down." if cooling else ""


def _under_way(session: Session, action_id: str, alert_id: str) -> bool:
    present = sa.exists().where(
        RemediationRun.action_id == action_id,
        RemediationRun.alert_id == alert_id,
        RemediationRun.state.in_(UNFINISHED),
    )
    return bool(session.scalar(sa.select(present)))


def is_over(session: Session, run: RemediationRun) -> bool:
    """Whether the alert of a run has ended, or is gone."""
    if not find_alert.is_answered:
        return False
    seen = find_alert(session, run.alert_id)
    return seen is None or seen.ended_at is not None


def about(action: RemediationAction, run: RemediationRun) -> dict[str, str]:
    """What every event about a run carries."""
    return {
        "organization_id": action.organization_id,
        "project_id": action.project_id,
        "instance_id": run.instance_id,
        "run_id": run.id,
        "alert_id": run.alert_id,
        "action": action.name,
    }
