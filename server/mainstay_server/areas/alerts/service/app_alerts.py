"""Alerts that apps send themselves: each heard once, and not too many in an hour."""

import hashlib
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import FLOOD, Alert, AlertStatus, AlertType, Severity
from mainstay_server.areas.alerts.models.rules import AppAlert
from mainstay_server.areas.alerts.schemas.app_alerts import AlertBatch, ReceivedAlert
from mainstay_server.kernel.database import insert, rows_changed
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.subjects import InstanceRef

from .firing import Firing, find_active, fire, identity_of, one_line, resolve_each
from .rules import rule_for

KIND = AlertType.APP_ALERT
OF_A_DAY = (AlertType.APP_ALERT, AlertType.EVENT_SAID)
HOUR = timedelta(hours=1)
STAYS = timedelta(hours=24)
REMEMBERED = timedelta(days=7)
MOST_AT_ONCE = 1000

_decoder = msgspec.json.Decoder(AlertBatch)


def read_batch(body: bytes) -> AlertBatch:
    """The alerts in a body; raises `Invalid` that names the field which is wrong."""
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Invalid(f"The alerts are not readable: {error}.") from error


def record_batch(
    session: Session, instance: InstanceRef, batch: AlertBatch, *, now: datetime
) -> int:
    """Open or count an alert for each that was not heard before; returns how many were new.

    An ingest key is public where browsers report errors, so that anybody might send: beyond the
    rule's number of new titles an hour, one alert stands for the rest.
    """
    new = 0
    for sent in batch.alerts:
        heard = insert(AppAlert).values(instance_id=instance.id, id=sent.id, received_at=now)
        if rows_changed(session, heard.on_conflict_do_nothing()):
            _fire(session, instance, batch, sent, now=now)
            new += 1
    return new


def settle(session: Session, *, now: datetime) -> int:
    """End what was not said again for a day, quietly, and forget old ids; returns how many ended.

    Nobody says when such a thing is over, so it stands until somebody resolves it or it is old.
    """
    session.execute(sa.delete(AppAlert).where(AppAlert.received_at < now - REMEMBERED))
    over = sa.select(Alert.id).where(
        Alert.type.in_(OF_A_DAY),
        Alert.status == AlertStatus.ACTIVE,
        Alert.last_seen_at <= now - STAYS,
        Alert.identity.not_like("%:by-hand:%"),
    )
    ids = list(session.scalars(over.limit(MOST_AT_ONCE)))
    text = "It was not said again for a day."
    return resolve_each(session, ids, resolution=text, quiet=True, now=now)


def _fire(
    session: Session,
    instance: InstanceRef,
    batch: AlertBatch,
    sent: ReceivedAlert,
    *,
    now: datetime,
) -> None:
    about = hashlib.sha256(one_line(sent.title).encode()).hexdigest()[:16]
    facts = {"release": batch.release, "server": batch.server_name} | dict(sent.metadata)
    where = f"{instance.project_slug} {instance.environment}"
    firing = Firing(
        type=KIND,
        about=about,
        title=f"{where}: {sent.title}",
        message=sent.message,
        severity=sent.severity,
        annotations={name: value for name, value in facts.items() if value},
    )
    is_new = find_active(session, instance.id, identity_of(KIND, about)) is None
    if is_new and _opened(session, instance, now=now) >= _limit(session, instance):
        firing = Firing(
            type=KIND,
            about=FLOOD,
            title=f"{where}: the app sends many alerts",
            message=f"More than {_limit(session, instance):g} different ones in an hour; the rest"
            f" is counted here. The first of them: {sent.title}",
            severity=Severity.WARNING,
        )
    fire(session, instance, firing, now=now)


def _limit(session: Session, instance: InstanceRef) -> float:
    return rule_for(session, instance.project_id, instance.id, KIND).threshold


def _opened(session: Session, instance: InstanceRef, *, now: datetime) -> int:
    opened = sa.select(sa.func.count()).where(
        Alert.instance_id == instance.id,
        Alert.type == KIND,
        Alert.opened_at > now - HOUR,
        Alert.identity != identity_of(KIND, FLOOD),
    )
    return session.scalar(opened) or 0
