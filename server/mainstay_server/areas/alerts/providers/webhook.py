"""Webhooks: a signed POST of JSON, by the Standard Webhooks specification 1.0.

The body is Mainstay's own, the same as the data of a CloudEvent 1.0 in structured mode, or that of
Alertmanager's webhook in version 4.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from mainstay_server.areas.alerts.models import AlertStatus, Change
from mainstay_server.areas.alerts.schemas import ConfigField, Gathered, Notice
from mainstay_server.kernel.clock import rfc3339
from mainstay_server.kernel.labels import fingerprint
from mainstay_server.kernel.posting import (
    ReceiverGone,
    ReceiverMissing,
    checked_url,
    invalid,
    masked_url,
    post_json,
)
from mainstay_server.kernel.standard_webhooks import signed_headers

LABEL = "Webhook"
CLOUDEVENTS = "cloudevents"
ALERTMANAGER = "alertmanager"
FORMATS = (
    ("mainstay", "Mainstay's JSON"),
    (CLOUDEVENTS, "CloudEvents 1.0 (structured)"),
    (ALERTMANAGER, "Alertmanager's webhook, version 4"),
)
FIELDS: Sequence[ConfigField] = (
    ConfigField(
        name="webhookUrl",
        label="URL",
        placeholder="https://hooks.example.com/…",
        hint="It gets signed JSON (Standard Webhooks).",
    ),
    ConfigField(name="format", label="Body", required=False, choices=FORMATS),
)
SIGNED = True
PER_MINUTE = 0

NO_TIME = "0001-01-01T00:00:00Z"  # what Alertmanager writes for an end that is not known
GONE = 410
MISSING = 404


def checked(config: Mapping[str, Any]) -> dict[str, str]:
    """An http or https URL without user name and password in it, and what to send there."""
    url = checked_url(
        str(config.get("webhookUrl", "")), field="webhookUrl", example="https://hooks.example/…"
    )
    chosen = str(config.get("format", "")).strip() or FORMATS[0][0]
    if chosen not in dict(FORMATS):
        raise invalid("format", f"must be one of {', '.join(dict(FORMATS))}")
    return {"webhookUrl": url} | ({"format": chosen} if chosen != FORMATS[0][0] else {})


def shown(config: Mapping[str, Any]) -> str:
    """Scheme, host and the first word of the path: what follows is a secret at many receivers."""
    return masked_url(str(config["webhookUrl"]), with_word=True)


def not_ready() -> str:
    """Webhooks need no setting up."""
    return ""


def send(
    notice: Notice,
    *,
    config: Mapping[str, Any],
    secrets: Sequence[str],
    delivery_id: str,
    now: datetime,
) -> str:
    """POST the notice; 2xx is taken, 410 is gone, 404 missing, the rest as `Posted.accept` says."""
    chosen = config.get("format")
    events = chosen == CLOUDEVENTS
    told = document(notice)
    if events:
        told = cloud_event(notice, delivery_id)
    elif chosen == ALERTMANAGER:
        told = as_alertmanager(notice)
    body = msgspec.json.encode(told)
    headers = {
        "content-type": "application/cloudevents+json" if events else "application/json",
        "user-agent": "Mainstay-Webhook/1",
        **signed_headers(secrets, delivery_id, body, now=now),
    }
    posted = post_json(config["webhookUrl"], body, key=delivery_id, headers=headers, now=now)
    if posted.status == GONE:  # the specification's way to unsubscribe
        raise ReceiverGone(f"{posted.reason.rstrip('.')}. It says that it is gone for good.")
    if posted.status == MISSING:
        raise ReceiverMissing(f"{posted.reason.rstrip('.')}. Nobody takes messages at that URL.")
    posted.accept()
    return ""


def document(notice: Notice) -> dict[str, Any]:
    """The JSON that receivers read; stable, and only ever extended."""
    resolved = notice.change is Change.RESOLVED
    alert: dict[str, Any] = {
        "id": notice.alert_id,
        "type": notice.type,
        "severity": notice.severity,
        "title": notice.title,
        "message": notice.message,
        "status": AlertStatus.RESOLVED if resolved else AlertStatus.ACTIVE,
        "createdAt": rfc3339(notice.opened_at),
        "resolvedAt": rfc3339(notice.resolved_at) if resolved and notice.resolved_at else None,
    }
    if resolved:
        alert["resolution"] = notice.resolution
    if notice.supersedes:
        alert["supersedes"] = notice.supersedes
    if notice.repeat:
        alert["repeat"] = notice.repeat
    told = {
        "type": f"alert.{notice.change.value}",
        "timestamp": rfc3339(notice.at),
        "alert": alert,
        **_digest(notice),
        "instance": {
            "id": notice.instance_id,
            "environment": notice.environment,
            "url": notice.instance_url,
        },
        "project": {"slug": notice.project_slug, "name": notice.project_name},
        "url": notice.url,
    }
    if notice.runbook_url:
        told["runbookUrl"] = notice.runbook_url
    if notice.acknowledge_url:
        told["acknowledgeUrl"] = notice.acknowledge_url
    return told | ({"insteadOf": notice.instead_of} if notice.instead_of else {})


def _digest(notice: Notice) -> dict[str, Any]:
    """Of a message about several alerts: how many, what it says in words, and each of them."""
    if not notice.gathered:
        return {}
    alerts = [
        {
            "id": one.alert_id,
            "type": one.type,
            "severity": one.severity,
            "title": one.title,
            "message": one.message,
            "environment": one.environment,
            "createdAt": rfc3339(one.opened_at),
            "resolvedAt": rfc3339(one.resolved_at) if one.resolved_at else None,
            "resolution": one.resolution,
            **({"acknowledgeUrl": one.acknowledge_url} if one.acknowledge_url else {}),
        }
        for one in notice.gathered
    ]
    return {
        "digest": {"title": notice.title, "count": notice.gathered_count, "alerts": alerts},
    }


def cloud_event(notice: Notice, delivery_id: str) -> dict[str, Any]:
    """The same as a CloudEvent: `source` is the project's alerts, `subject` the alert."""
    return {
        "specversion": "1.0",
        "id": delivery_id,
        "source": notice.url.partition("?")[0],
        "type": f"alert.{notice.change.value}",
        "subject": notice.alert_id,
        "time": rfc3339(notice.at),
        "datacontenttype": "application/json",
        "data": document(notice),
    }


def as_alertmanager(notice: Notice) -> dict[str, Any]:
    """The same as Alertmanager tells a webhook, version 4; a test is told as something over."""
    lasts = notice.change is Change.OPENED
    alerts = [_alert_of(one, notice, lasts=lasts) for one in notice.gathered or (notice,)]
    common = _common([alert["labels"] for alert in alerts])
    return {
        "version": "4",
        "groupKey": f"{notice.project_slug}:{notice.alert_id}",
        "truncatedAlerts": max(0, notice.gathered_count - len(alerts)),
        "status": "firing" if lasts else "resolved",
        "receiver": "mainstay",
        "groupLabels": {name: common[name] for name in ("alertname",) if name in common},
        "commonLabels": common,
        "commonAnnotations": _common([alert["annotations"] for alert in alerts]),
        "externalURL": notice.url.partition("?")[0],
        "alerts": alerts,
    }


def _alert_of(one: Notice | Gathered, notice: Notice, *, lasts: bool) -> dict[str, Any]:
    labels = dict(one.labels) or {"alertname": one.type, "severity": one.severity}
    words = {"summary": one.title, "description": one.message, "runbook_url": notice.runbook_url}
    ended = one.resolved_at or notice.at
    return {
        "status": "firing" if lasts else "resolved",
        "labels": labels,
        "annotations": {name: text for name, text in words.items() if text} | dict(one.annotations),
        "startsAt": rfc3339(one.opened_at),
        "endsAt": NO_TIME if lasts else rfc3339(ended),
        "generatorURL": notice.url,
        "fingerprint": fingerprint(labels),
    }


def _common(several: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What all of some sets of texts have alike."""
    first, *others = several
    return {
        name: value
        for name, value in first.items()
        if all(other.get(name) == value for other in others)
    }
