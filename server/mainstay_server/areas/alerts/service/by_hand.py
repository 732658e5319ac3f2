"""What people, and not rules, do with alerts: open one, take it in hand, mute it, end it."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import Alert, AlertStatus, Severity
from mainstay_server.areas.alerts.schemas.alerts import MOST_AT_ONCE
from mainstay_server.contracts.alerts import (
    AlertAcknowledged,
    AlertMuted,
    AlertOpenedByHand,
    AlertResolvedByHand,
)
from mainstay_server.kernel.events import changes_between, say, say_all
from mainstay_server.kernel.subjects import InstanceRef

from . import firing
from .firing import Firing, facts_of_alert, one_line


class Outcome(StrEnum):
    """What became of one of several alerts that a person acted on.

    `already` is what somebody else took in hand before; `unknown` is none of this project's.
    """

    DONE = "done"
    ALREADY = "already"
    ENDED = "ended"
    UNKNOWN = "unknown"


def open_alert(
    session: Session, instance: InstanceRef, found: Firing, severity: Severity, *, now: datetime
) -> tuple[Alert, bool]:
    """Open an alert that no rule found; of one type and title, one at most is active."""
    about = "by-hand:" + hashlib.sha256(one_line(found.title).encode()).hexdigest()[:16]
    named = Firing(type=found.type, title=found.title, message=found.message, about=about)
    alert_id, is_new = firing.open_alert(session, instance, named, severity, now=now)
    alert = session.get_one(Alert, alert_id, populate_existing=True)
    if is_new:
        changes = changes_between({}, {"status": alert.status, "severity": alert.severity})
        say(session, AlertOpenedByHand(**facts_of_alert(alert), changes=changes), now=now)
    return alert, is_new


def acknowledge_alert(
    session: Session, alert_id: str, *, by: str, name: str, now: datetime
) -> bool:
    """Somebody has taken an active alert in hand: said once, whoever does so at the same moment.

    `by` is a person's id. Returns whether it was theirs to take: neither over nor taken before.
    """
    return bool(_take(session, [alert_id], by=by, name=name, now=now))


def acknowledge_alerts(
    session: Session,
    project_id: str,
    alert_ids: Collection[str],
    *,
    by: str,
    name: str,
    now: datetime,
) -> Mapping[str, Outcome]:
    """Take several alerts of a project in hand at once, at most 500; what became of each, by id.

    Each is as if it were alone: one that is over, taken or of others keeps none from being taken.
    """
    held = _hold(session, project_id, alert_ids)
    return _outcomes(alert_ids, held, _take(session, held, by=by, name=name, now=now))


def _hold(session: Session, project_id: str, alert_ids: Collection[str]) -> dict[str, Alert]:
    """Those that are the project's, locked in one order for all, so that no two wait in a ring."""
    assert len(alert_ids) <= MOST_AT_ONCE, "the door limits them"
    found = session.scalars(
        sa.select(Alert)
        .where(Alert.project_id == project_id, Alert.id.in_(alert_ids))
        .order_by(Alert.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {alert.id: alert for alert in found}


def _outcomes(
    alert_ids: Collection[str], held: Mapping[str, Alert], done: Sequence[Alert]
) -> Mapping[str, Outcome]:
    done_ids = {alert.id for alert in done}
    became = {}
    for alert_id in alert_ids:
        alert = held.get(alert_id)
        if alert is None:
            became[alert_id] = Outcome.UNKNOWN
        elif alert_id in done_ids:
            became[alert_id] = Outcome.DONE
        else:
            over = alert.status != AlertStatus.ACTIVE
            became[alert_id] = Outcome.ENDED if over else Outcome.ALREADY
    return became


def _take(
    session: Session, alert_ids: Collection[str], *, by: str, name: str, now: datetime
) -> Sequence[Alert]:
    """Take those in hand that are active and that nobody has, and say so once each."""
    taken = session.scalars(
        sa.update(Alert)
        .where(
            Alert.id.in_(alert_ids),
            Alert.status == AlertStatus.ACTIVE,
            Alert.acknowledged_at.is_(None),
        )
        .values(acknowledged_at=now, acknowledged_by=by)
        .returning(Alert)
        .execution_options(populate_existing=True)
    ).all()
    changes = changes_between({"acknowledgedBy": ""}, {"acknowledgedBy": by})
    said = [
        AlertAcknowledged(**facts_of_alert(alert), by=by, name=name, changes=changes)
        for alert in taken
    ]
    say_all(session, said, now=now)
    return taken


def mute_alert(session: Session, alert: Alert, until: datetime | None, *, now: datetime) -> Alert:
    """Tell nobody of an alert until then; None, or a time that has passed, ends that."""
    before = {"mutedUntil": _moment(alert.muted_until)}
    alert.muted_until = until if until is not None and until > now else None
    session.flush()
    changes = changes_between(before, {"mutedUntil": _moment(alert.muted_until)})
    if changes:
        say(session, AlertMuted(**facts_of_alert(alert), changes=changes), now=now)
    return alert


def resolve_alert(
    session: Session, instance_id: str, alert_id: str, *, person_id: str, name: str, now: datetime
) -> Alert:
    """End an alert because a person says so; one that has ended already stays as it is.

    Raises:
        NotFound: the instance has no such alert.
    """
    which = (Alert.instance_id == instance_id, Alert.id == alert_id)
    _end(session, *which, person_id=person_id, name=name, now=now)
    return firing.get_alert(session, instance_id, alert_id)


def resolve_alerts(
    session: Session,
    project_id: str,
    alert_ids: Collection[str],
    *,
    by: str,
    name: str,
    now: datetime,
) -> Mapping[str, Outcome]:
    """End several alerts of a project at once, at most 500; what became of each, by id."""
    held = _hold(session, project_id, alert_ids)
    ended = _end(session, Alert.id.in_(held), person_id=by, name=name, now=now)
    return _outcomes(alert_ids, held, ended)


# What a person may do with several alerts at once, by the word of API and page.
ACTIONS = {"acknowledge": acknowledge_alerts, "resolve": resolve_alerts}


def _end(
    session: Session,
    *which: sa.ColumnElement[bool],
    person_id: str,
    name: str,
    now: datetime,
) -> Sequence[Alert]:
    resolution = f"Resolved by {name}."
    ended = firing.end_alerts(
        session, *which, resolution=resolution, resolved_by=person_id, now=now
    )
    said = [
        AlertResolvedByHand(
            **facts_of_alert(alert),
            changes=changes_between({"status": AlertStatus.ACTIVE}, {"status": alert.status}),
        )
        for alert in ended
    ]
    say_all(session, said, now=now)
    return ended


def _moment(at: datetime | None) -> str:
    return at.isoformat() if at else ""
