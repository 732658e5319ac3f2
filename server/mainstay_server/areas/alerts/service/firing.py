"""Alerts begin and end here: once per identity, said once, whoever fires at the same moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import (
    ACTIVE,
    Alert,
    AlertStatus,
    AlertType,
    Severity,
)
from mainstay_server.contracts.alerts import (
    AlertOpened,
    AlertResolved,
)
from mainstay_server.kernel.database import insert, new_id
from mainstay_server.kernel.events import say
from mainstay_server.kernel.labels import fingerprint
from mainstay_server.kernel.problems import NotFound
from mainstay_server.kernel.subjects import InstanceRef

from .rules import rule_for

LONGEST_TITLE, LONGEST_MESSAGE, LONGEST_RESOLUTION = 200, 2000, 500


@dataclass(frozen=True, kw_only=True)
class Firing:
    """What a rule found. `about` tells apart what may be active side by side under one type.

    `labels` are added to those that every alert has (`labels_of`), unless another system says that
    they are all there are. It may have begun before we hear of it.
    """

    type: AlertType
    title: str
    message: str
    about: str = ""
    severity: Severity | None = None
    supersedes: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    labels_are_all: bool = False
    began_at: datetime | None = None

    @property
    def identity(self) -> str:
        """Of one identity an instance has at most one active alert."""
        return identity_of(self.type, self.about)


def identity_of(kind: AlertType, about: str = "") -> str:
    """The identity of an alert of a type about something."""
    return f"{kind}:{about}" if about else kind.value


def labels_of(instance: InstanceRef, firing: Firing, severity: Severity) -> dict[str, str]:
    """What an alert is known by: what its rule says, where it is, and what kind it is."""
    if firing.labels_are_all:
        return dict(firing.labels)
    return {
        "alertname": firing.type.value,
        "severity": severity.value,
        "project": instance.project_slug,
        "environment": instance.environment,
        **firing.labels,
    }


def fire(session: Session, instance: InstanceRef, firing: Firing, *, now: datetime) -> str | None:
    """Open an alert, and say so once; while it is active, firing again only counts.

    Several workers may fire at the same moment. Opening and counting is therefore one statement,
    and only the one whose row went in speaks.

    Returns the id of the alert, new or active before; None when its rule is switched off.
    """
    rule = rule_for(session, instance.project_id, instance.id, firing.type)
    if not rule.enabled:
        return None
    alert_id, _ = open_alert(session, instance, firing, firing.severity or rule.severity, now=now)
    return alert_id


def open_alert(
    session: Session, instance: InstanceRef, firing: Firing, severity: Severity, *, now: datetime
) -> tuple[str, bool]:
    """Open or count an alert whatever its rule says; returns its id and whether it is new."""
    title = one_line(firing.title)[:LONGEST_TITLE]
    message = firing.message.strip()[:LONGEST_MESSAGE]
    labels = labels_of(instance, firing, severity)
    alert_id, count = session.execute(
        insert(Alert)
        .values(
            id=new_id(),
            organization_id=instance.organization_id,
            project_id=instance.project_id,
            instance_id=instance.id,
            identity=firing.identity,
            type=firing.type,
            severity=severity,
            title=title,
            message=message,
            status=AlertStatus.ACTIVE,
            opened_at=firing.began_at or now,
            last_seen_at=now,
            count=1,
            supersedes=firing.supersedes,
            labels=labels,
            annotations=dict(firing.annotations),
            fingerprint=fingerprint(labels),
            acknowledged_by="",
            resolved_by="",
            resolution="",
        )
        .on_conflict_do_update(
            index_elements=["instance_id", "identity"],
            index_where=ACTIVE,
            set_={"last_seen_at": now, "count": Alert.count + 1, "calm_since": None},
        )
        .returning(Alert.id, Alert.count)
    ).one()
    if count == 1:
        said = {"alert_id": alert_id, "title": title, "message": message, "labels": labels}
        _say_opened(session, instance, firing, severity, said, now=now)
    return alert_id, count == 1


def resolve(  # noqa: PLR0913 - the ways in which an alert may end
    session: Session,
    instance_id: str,
    identity: str,
    *,
    resolution: str,
    superseded_by: str = "",
    quiet: bool = False,
    now: datetime,
) -> str | None:
    """End the active alert of an identity, if there is one, and say so once; returns its id."""
    ended = end_alerts(
        session,
        Alert.instance_id == instance_id,
        Alert.identity == identity,
        resolution=resolution,
        superseded_by=superseded_by,
        quiet=quiet,
        now=now,
    )
    return ended[0].id if ended else None


def resolve_each(
    session: Session, alert_ids: list[str], *, resolution: str, quiet: bool, now: datetime
) -> int:
    """End those of the alerts that are active, and say so once each; returns how many."""
    which = Alert.id.in_(alert_ids)
    return len(end_alerts(session, which, resolution=resolution, quiet=quiet, now=now))


def end_alerts(
    session: Session,
    *which: sa.ColumnElement[bool],
    resolution: str,
    resolved_by: str = "",
    superseded_by: str = "",
    quiet: bool = False,
    now: datetime,
) -> Sequence[Alert]:
    """End those of the alerts that are active, and say so once each; returns them.

    Several may end them at the same moment. Finding and ending is therefore one statement, and
    only who ended an alert speaks of it. `resolved_by` is the id of a person who did.
    """
    ended = session.scalars(
        sa.update(Alert)
        .where(Alert.status == AlertStatus.ACTIVE, *which)
        .values(
            status=AlertStatus.RESOLVED,
            resolved_at=now,
            resolved_by=resolved_by,
            resolution=resolution[:LONGEST_RESOLUTION],
        )
        .returning(Alert)
        .execution_options(populate_existing=True)
    ).all()
    for alert in ended:
        resolved = AlertResolved(
            **facts_of_alert(alert), resolved_at=now, superseded_by=superseded_by, quiet=quiet
        )
        say(session, resolved, now=now)
    return ended


def get_alert(session: Session, instance_id: str, alert_id: str) -> Alert:
    """One alert of an instance. Raises `NotFound`."""
    alert = session.get(Alert, alert_id)
    if alert is None or not is_of(session, instance_id, alert_id):
        raise NotFound(f"This instance has no alert {alert_id!r}; GET …/alerts lists them.")
    return alert


def is_of(session: Session, instance_id: str, alert_id: str) -> bool:
    """Whether an alert is one of this instance's."""
    alert = session.get(Alert, alert_id)
    return alert is not None and alert.instance_id == instance_id


def find_active(session: Session, instance_id: str, identity: str) -> Alert | None:
    """The active alert of an identity, or None."""
    return session.scalar(
        sa.select(Alert).where(
            Alert.instance_id == instance_id,
            Alert.identity == identity,
            Alert.status == AlertStatus.ACTIVE,
        )
    )


def facts_of_alert(alert: Alert) -> dict[str, str]:
    """Whose an alert is and what it is called, for what is said of it."""
    return {
        "organization_id": alert.organization_id,
        "project_id": alert.project_id,
        "instance_id": alert.instance_id,
        "alert_id": alert.id,
        "type": alert.type,
        "severity": alert.severity,
        "title": alert.title,
    }


def one_line(text: str) -> str:
    """Text without line ends, control characters and runs of spaces: safe in a mail's subject."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _say_opened(
    session: Session,
    instance: InstanceRef,
    firing: Firing,
    severity: Severity,
    said: Mapping[str, Any],
    *,
    now: datetime,
) -> None:
    opened = AlertOpened(
        organization_id=instance.organization_id,
        project_id=instance.project_id,
        instance_id=instance.id,
        type=firing.type,
        severity=severity,
        opened_at=firing.began_at or now,
        supersedes=firing.supersedes,
        **said,
    )
    say(session, opened, now=now)
