"""Alerts that other systems send, as to Alertmanager: opened, kept while they are sent, ended."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import (
    Alert,
    AlertReceipt,
    AlertStatus,
    AlertType,
    Severity,
)
from mainstay_server.areas.alerts.schemas.alertmanager import RESOLVE_TIMEOUT, Sent
from mainstay_server.areas.alerts.schemas.rules import Rule
from mainstay_server.kernel.database import insert, rows_changed
from mainstay_server.kernel.subjects import InstanceRef

from . import firing, rules

MOST_LIVE = 20_000
MOST_ENDED_AT_ONCE = 1_000
SAID_OVER = "Its sender says that it is over."
NOT_SENT = "Its sender has stopped sending it."
# Words for severities that are common in rules of Prometheus and are none of ours.
SEVERITIES = {
    "page": Severity.CRITICAL,
    "fatal": Severity.CRITICAL,
    "emergency": Severity.CRITICAL,
    "disaster": Severity.CRITICAL,
    "error": Severity.HIGH,
    "major": Severity.HIGH,
    "average": Severity.MEDIUM,
    "warn": Severity.WARNING,
    "minor": Severity.LOW,
    "notice": Severity.INFO,
    "information": Severity.INFO,
    "informational": Severity.INFO,
    "none": Severity.INFO,
}

Arrived = tuple[Sent, InstanceRef]


def record_sent(
    session: Session, project_id: str, arrived: Sequence[Arrived], *, now: datetime
) -> int:
    """Take alerts of a project, each for its instance; taking one again changes only its end.

    An alert is known by its labels. One that is new opens, one whose end has passed ends, and one
    that is sent again keeps its earliest start, its newest annotations and the latest end that its
    sender chose. What was over before it began again, as a late copy tells it, ends nothing.

    Several senders may bring the same alert at the same moment; it opens once.

    Returns how many new ones were left out, since a project has at most 20,000 that are not over.
    """
    live = _live(session, project_id, [sent.fingerprint for sent, _ in arrived])
    room = _Room(session, project_id)
    known_rules: dict[str, Rule] = {}
    ended: list[str] = []
    # In one order for all: replicas that send the same in another order would wait for each other.
    for sent, instance in sorted(arrived, key=lambda each: (each[1].id, each[0].fingerprint)):
        found = live.get(sent.fingerprint)
        if sent.ends_at <= now:
            if found is not None and sent.ends_at >= found[0].started_at:
                found[0].live_until = None
                ended.append(found[0].alert_id)
                del live[sent.fingerprint]
        elif found is not None:
            _renew(*found, sent, now=now)
        else:
            rule = known_rules.get(instance.id)
            if rule is None:
                rule = rules.rule_for(session, project_id, instance.id, AlertType.EXTERNAL_ALERT)
                known_rules[instance.id] = rule
            if rule.enabled and room.take():
                live[sent.fingerprint] = _open(session, instance, sent, rule, now=now)
    session.flush()
    firing.resolve_each(session, ended, resolution=SAID_OVER, quiet=False, now=now)
    return room.missing


def end_unsent(session: Session, *, now: datetime) -> int:
    """End alerts whose time is over because nobody sent them again; returns how many ended.

    At most 1,000 at once; the next run takes the rest.
    """
    due = (
        sa.select(AlertReceipt.alert_id)
        .where(AlertReceipt.live_until <= now)
        .order_by(AlertReceipt.live_until)
        .limit(MOST_ENDED_AT_ONCE)
    )
    over = session.scalars(
        sa.update(AlertReceipt)
        .where(AlertReceipt.alert_id.in_(due), AlertReceipt.live_until <= now)
        .values(live_until=None)
        .returning(AlertReceipt.alert_id)
    ).all()
    return firing.resolve_each(session, list(over), resolution=NOT_SENT, quiet=False, now=now)


def wait_for_senders(session: Session, *, now: datetime) -> int:
    """After a standstill of our own, give senders the time to send again what still lasts.

    Whatever would end by then stays as long as if it were sent now; returns how much that is.
    """
    until = now + RESOLVE_TIMEOUT
    return rows_changed(
        session,
        sa.update(AlertReceipt)
        .where(AlertReceipt.live_until < until)
        .values(live_until=until, end_is_given=False),
    )


class _Room:
    """How many more alerts of a project may be live; asked only when one opens."""

    def __init__(self, session: Session, project_id: str) -> None:
        self._count = sa.select(sa.func.count()).where(
            AlertReceipt.project_id == project_id, AlertReceipt.live_until.is_not(None)
        )
        self._session = session
        self._left: int | None = None
        self.missing = 0

    def take(self) -> bool:
        if self._left is None:
            self._left = MOST_LIVE - (self._session.scalar(self._count) or 0)
        if self._left <= 0:
            self.missing += 1
            return False
        self._left -= 1
        return True


def _live(
    session: Session, project_id: str, prints: Sequence[str]
) -> dict[str, tuple[AlertReceipt, Alert]]:
    rows = session.execute(
        sa.select(AlertReceipt, Alert)
        .join(Alert, Alert.id == AlertReceipt.alert_id)
        .where(
            AlertReceipt.project_id == project_id,
            AlertReceipt.fingerprint.in_(prints),
            AlertReceipt.live_until.is_not(None),
        )
        .order_by(AlertReceipt.alert_id)
        .with_for_update(of=AlertReceipt)
    )
    return {receipt.fingerprint: (receipt, alert) for receipt, alert in rows}


def _open(
    session: Session, instance: InstanceRef, sent: Sent, rule: Rule, *, now: datetime
) -> tuple[AlertReceipt, Alert]:
    found = firing.Firing(
        type=AlertType.EXTERNAL_ALERT,
        title=title_of(sent),
        message=message_of(sent.annotations),
        about=sent.fingerprint,
        labels=sent.labels,
        annotations=sent.annotations,
        labels_are_all=True,
        began_at=min(sent.starts_at, now),
    )
    severity = severity_of(sent.labels) or rule.severity
    alert_id, _ = firing.open_alert(session, instance, found, severity, now=now)
    facts = {
        "started_at": sent.starts_at,
        "live_until": sent.ends_at,
        "end_is_given": sent.end_is_given,
        "generator_url": sent.generator_url,
        "heard_at": now,
    }
    names = {"project_id": instance.project_id, "fingerprint": sent.fingerprint}
    session.execute(
        insert(AlertReceipt)
        .values(alert_id=alert_id, **names, **facts)
        .on_conflict_do_update(index_elements=["alert_id"], set_=facts)
    )
    return session.get_one(AlertReceipt, alert_id), session.get_one(Alert, alert_id)


def _renew(receipt: AlertReceipt, alert: Alert, sent: Sent, *, now: datetime) -> None:
    """What is sent again: its earliest start, its newest words, and its latest chosen end."""
    receipt.started_at = min(receipt.started_at, sent.starts_at)
    receipt.heard_at = now
    until = receipt.live_until
    if until is None or not (receipt.end_is_given and until > sent.ends_at):
        receipt.live_until, receipt.end_is_given = sent.ends_at, sent.end_is_given
    receipt.generator_url = sent.generator_url or receipt.generator_url
    if alert.status != AlertStatus.ACTIVE:
        return
    alert.last_seen_at = now
    alert.opened_at = min(alert.opened_at, sent.starts_at)
    if alert.annotations != sent.annotations:
        alert.annotations = dict(sent.annotations)
        alert.title = firing.one_line(title_of(sent))[: firing.LONGEST_TITLE]
        alert.message = message_of(sent.annotations)[: firing.LONGEST_MESSAGE]


def severity_of(labels: Mapping[str, str]) -> Severity | None:
    """The severity that labels name, in our words or in common ones; None for any other."""
    word = labels.get("severity", "").strip().lower()
    ours = next((each for each in Severity if each == word), None)
    return ours or SEVERITIES.get(word)


def title_of(sent: Sent) -> str:
    """One line for an alert that another system named: its summary, or its name and place."""
    for name in ("summary", "title"):
        if sent.annotations.get(name, "").strip():
            return sent.annotations[name]
    named = sent.labels.get("alertname", "")
    place = sent.labels.get("instance") or sent.labels.get("job", "")
    if named and place:
        return f"{named}: {place}"
    return named or ", ".join(f"{name}={value}" for name, value in sorted(sent.labels.items()))


def message_of(annotations: Mapping[str, str]) -> str:
    """What there is to read about an alert of another system."""
    text = annotations.get("description") or annotations.get("message", "")
    return text.strip()
