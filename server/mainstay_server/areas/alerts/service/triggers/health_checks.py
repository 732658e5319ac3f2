"""The health of what is watched, as alerts: one at most per health check, whatever it turns into.

A check is down, degraded or flapping. Each is an alert of its own that takes the place of the one
before: people hear of the new state only, and of the end when all is well.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import AlertSubjectHeard, AlertType
from mainstay_server.areas.alerts.service.firing import (
    Firing,
    find_active,
    fire,
    identity_of,
    resolve,
)
from mainstay_server.contracts.health_checks import (
    HealthChanged,
    HealthCheckFlapping,
    HealthCheckRecovered,
    HealthCheckSettled,
    HealthCheckStopped,
)
from mainstay_server.kernel.database import insert
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.subjects import find_instance

FLAPPING = "flapping"
DEGRADED, HEALTHY = "degraded", "healthy"
KINDS = (AlertType.INSTANCE_DOWN, AlertType.INSTANCE_DEGRADED)
HOW = {AlertType.INSTANCE_DOWN: "down", AlertType.INSTANCE_DEGRADED: "degraded"}
BECAUSE = {
    AlertType.INSTANCE_DOWN: "It is down now.",
    AlertType.INSTANCE_DEGRADED: "It answers again, but not well.",
}


def record_trouble(
    session: Session, event: HealthChanged, kind: AlertType, *, now: datetime
) -> None:
    """A check went down or is degraded: open that alert in place of any other of the check.

    The other ends at the same moment. People hear of the new state only; whoever does not hear of
    it, because of its severity or a rule that is off, hears that the old one is over.
    """
    firing = Firing(
        type=kind,
        about=event.health_check_id,
        title=f"{_place(event)} is {HOW[kind]}",
        message=_message(event),
    )
    _replace(session, event, firing, because=BECAUSE[kind], now=now)


def record_flapping(session: Session, event: HealthCheckFlapping, *, now: datetime) -> None:
    """A check goes back and forth: one alert stands for all of it until it has settled."""
    kind = AlertType.INSTANCE_DEGRADED if event.state == DEGRADED else AlertType.INSTANCE_DOWN
    firing = Firing(
        type=kind,
        about=f"{event.health_check_id}:{FLAPPING}",
        title=f"{_place(event)} is flapping",
        message=f"It goes back and forth; it is told again once it has stayed as it is for an"
        f" hour.\n{_message(event)}",
    )
    _replace(session, event, firing, because="It is flapping now.", now=now)


def record_settled(session: Session, event: HealthCheckSettled, *, now: datetime) -> None:
    """What flapped has stayed as it is: well, which ends its alert, or else what it is now."""
    if event.state != HEALTHY:
        kind = AlertType.INSTANCE_DEGRADED if event.state == DEGRADED else AlertType.INSTANCE_DOWN
        record_trouble(session, event, kind, now=now)
    else:
        _end(session, event, "It has been healthy for an hour.", now=now)


def record_recovery(session: Session, event: HealthCheckRecovered, *, now: datetime) -> None:
    """A check is well again: end whichever alert of it is active."""
    minutes = round((event.since - event.troubled_since).total_seconds() / 60)
    lasted = f"{minutes} min" if minutes else "less than a minute"
    _end(session, event, f"It is healthy again after {lasted}.", now=now)


def record_stop(session: Session, event: HealthCheckStopped, *, now: datetime) -> None:
    """Nobody looks any more: what was open about it would never end by itself."""
    _end(session, event, f"Its health is not watched now: {event.reason}.", now=now)


def is_newest(session: Session, subject_id: str, instance_id: str, *, since: datetime) -> bool:
    """Whether nothing newer was heard of a watched subject; remembers it as heard.

    Events of one subject keep their order within one reaction only. Going down and recovering are
    heard by two, so a first try that failed could otherwise open an alert that nothing ends.
    """
    heard = session.scalar(
        insert(AlertSubjectHeard)
        .values(subject_id=subject_id, instance_id=instance_id, since=since)
        .on_conflict_do_update(
            index_elements=["subject_id"],
            set_={"since": since},
            where=AlertSubjectHeard.since <= since,
        )
        .returning(AlertSubjectHeard.subject_id)
    )
    return heard is not None


def _replace(
    session: Session, event: HealthChanged, firing: Firing, *, because: str, now: datetime
) -> None:
    instance = _instance_heard(session, event)
    if instance is None:
        return
    others = [one for one in _identities(event) if one != firing.identity]
    before = next(
        (alert for one in others if (alert := find_active(session, instance.id, one))), None
    )
    placed = Firing(
        type=firing.type,
        about=firing.about,
        title=f"{instance.project_slug} {instance.environment}{firing.title}",
        message=firing.message,
        supersedes=before.id if before else "",
    )
    alert_id = fire(session, instance, placed, now=now)
    for identity in others:
        resolve(
            session,
            instance.id,
            identity,
            resolution=because,
            superseded_by=alert_id or "",
            # Nobody may read "resolved" of an app that is down.
            quiet=firing.type is AlertType.INSTANCE_DOWN and alert_id is None,
            now=now,
        )


def _end(session: Session, event: HealthChanged, resolution: str, *, now: datetime) -> None:
    instance = _instance_heard(session, event)
    if instance is None:
        return
    for identity in _identities(event):
        resolve(session, instance.id, identity, resolution=resolution, now=now)


def _identities(event: HealthChanged) -> list[str]:
    about = event.health_check_id
    return [identity_of(kind, each) for kind in KINDS for each in (about, f"{about}:{FLAPPING}")]


def _place(event: HealthChanged) -> str:
    """What of the instance is meant, after its name: nothing for its own check."""
    return f": {event.name}" if event.name else ""


def _message(event: HealthChanged) -> str:
    return "\n".join(line for line in (event.reason, event.url, _behind(event)) if line)


def _behind(event: HealthChanged) -> str:
    """What cannot be reached because of it, in one line; empty if that is nothing."""
    if not event.unreachable:
        return ""
    named = ", ".join(event.unreachable_names)
    more = event.unreachable - len(event.unreachable_names)
    checks = "health check" if event.unreachable == 1 else "health checks"
    return (
        f"{event.unreachable} {checks} behind it cannot be reached and are muted: {named}"
        + (f" and {more} more" if more > 0 else "")
        + "."
    )


def _instance_heard(session: Session, event: HealthChanged) -> InstanceRef | None:
    """The instance of a health event; None when it is gone, or a newer state was heard already."""
    instance = find_instance(session, event.instance_id)
    if instance is None:
        return None
    newest = is_newest(session, event.health_check_id, event.instance_id, since=event.since)
    return instance if newest else None
