"""Which actions begin for an alert: those that fit when it opens, one that somebody asks for."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.areas.remediation.models import (
    UNFINISHED,
    RemediationAction,
    RemediationRun,
    RunState,
)
from mainstay_server.contracts.alerts import AlertOpened, find_alert
from mainstay_server.contracts.remediation import RemediationActionRun, RemediationFailed
from mainstay_server.kernel.events import say
from mainstay_server.kernel.matchers import matches_all, parse_matchers
from mainstay_server.kernel.problems import Conflict, NotFound

from .actions import list_actions
from .runs import Ill, about, begin

# Whoever has an app's public ingest key can open these: never by themselves do they start anything.
FROM_OUTSIDE = ("external_alert", "app_alert")


def begin_automatic(session: Session, event: AlertOpened, *, now: datetime) -> int:
    """Begin the actions that fit an alert by itself, at most one for each; returns how many did.

    One that the limits refuse is said to have failed, so that somebody is told. None begins for
    what came from outside, or is over.
    """
    seen = find_alert(session, event.alert_id) if find_alert.is_answered else None
    if event.type in FROM_OUTSIDE or (seen is not None and seen.ended_at is not None):
        return 0
    ill = Ill(
        alert_id=event.alert_id,
        title=event.title,
        project_id=event.project_id,
        instance_id=event.instance_id,
    )
    begun = 0
    for action in _fitting(session, ill.project_id, event.labels):
        run = begin(session, action, ill, now=now) if action.automatic else None
        if run is None:
            continue
        if run.state == RunState.LIMITED:
            failed = RemediationFailed(**about(action, run), tries=0, reason=run.reason)
            say(session, failed, now=now)
        begun += run.state in UNFINISHED
    return begun


def start(session: Session, alert_id: str, *, action: str, now: datetime) -> bool:
    """Begin an action for an active alert, by its name, or whichever fits; False when none may."""
    seen = find_alert(session, alert_id) if find_alert.is_answered else None
    if seen is None or seen.ended_at is not None:
        return False
    ill = Ill(
        alert_id=seen.id,
        title=seen.title,
        project_id=seen.project_id,
        instance_id=seen.instance_id,
    )
    fitting = _fitting(session, seen.project_id, seen.labels)
    chosen = next((each for each in fitting if action in ("", each.name)), None)
    run = begin(session, chosen, ill, now=now) if chosen is not None else None
    return run is not None and run.state in UNFINISHED


def start_by_hand(
    session: Session, action: RemediationAction, alert_id: str, *, now: datetime
) -> RemediationRun:
    """Begin an action for an alert because a person says so; whether it fits is theirs to know.

    Raises:
        NotFound: the project has no such alert, or it is over.
        Conflict: the action is off, or at work on it.
    """
    seen = find_alert(session, alert_id) if find_alert.is_answered else None
    if seen is None or seen.project_id != action.project_id or seen.ended_at is not None:
        raise NotFound("The project has no such active alert; GET …/alerts of its instances.")
    if not action.enabled:
        raise Conflict(f"The action {action.name} is switched off; switch it on first.")
    ill = Ill(
        alert_id=seen.id,
        title=seen.title,
        project_id=seen.project_id,
        instance_id=seen.instance_id,
    )
    run = begin(session, action, ill, now=now)
    if run is None:
        raise Conflict(f"The action {action.name} is at work on this alert already.")
    said = RemediationActionRun(
        organization_id=action.organization_id,
        project_id=action.project_id,
        instance_id=seen.instance_id,
        action_id=action.id,
        name=action.name,
        alert_id=alert_id,
    )
    say(session, said, now=now)
    return run


def _fitting(
    session: Session, project_id: str, labels: Mapping[str, str]
) -> Sequence[RemediationAction]:
    """The actions that are on and mean alerts of such labels, by name."""
    return [
        action
        for action in list_actions(session, project_id)
        if action.enabled and matches_all(parse_matchers(action.matchers), labels)
    ]
