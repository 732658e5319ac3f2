"""PagerDuty: an incident per alert, opened and closed through the Events API v2."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from mainstay_server.areas.alerts.models import Change
from mainstay_server.areas.alerts.schemas import ConfigField, Notice
from mainstay_server.areas.alerts.settings import AlertSettings
from mainstay_server.kernel.clock import rfc3339
from mainstay_server.kernel.events import Refused
from mainstay_server.kernel.posting import Posted, invalid, post_json
from mainstay_server.kernel.settings import of

LABEL = "PagerDuty"
FIELDS: Sequence[ConfigField] = (
    ConfigField(
        name="routingKey",
        label="Integration key",
        placeholder="32 letters and digits",
        hint="From the service's page in PagerDuty: Integrations, Events API v2.",
        secret=True,
    ),
)
SIGNED = False
PER_MINUTE = 0

ROUTING_KEY = re.compile(r"[A-Za-z0-9]{32}")
SHOWN_CHARACTERS = 4
LONGEST_SUMMARY = 1024
LONGEST_REASON = 300
# https://developer.pagerduty.com/docs/events-api-v2-overview
SEVERITIES = {
    "critical": "critical",
    "high": "error",
    "warning": "warning",
    "medium": "warning",
    "low": "info",
    "info": "info",
}


def checked(config: Mapping[str, Any]) -> dict[str, str]:
    """The integration key of a service with an Events API v2 integration."""
    key = str(config.get("routingKey", "")).strip()
    if not ROUTING_KEY.fullmatch(key):
        raise invalid(
            "routingKey",
            "must be the 32 letters and digits of an Events API v2 integration;"
            " copy it from the service's page in PagerDuty",
        )
    return {"routingKey": key}


def shown(config: Mapping[str, Any]) -> str:
    """The end of the key, which tells two of them apart and opens nothing."""
    return f"PagerDuty …{str(config['routingKey'])[-SHOWN_CHARACTERS:]}"


def not_ready() -> str:
    """PagerDuty needs no setting up here."""
    return ""


def send(
    notice: Notice,
    *,
    config: Mapping[str, Any],
    secrets: Sequence[str],
    delivery_id: str,
    now: datetime,
) -> str:
    """Enqueue the events of a change. PagerDuty folds repetitions by their `dedup_key`.

    Several events leave when an alert took another's place, whose end nobody else is told. A
    second try repeats them all, which changes nothing over there.
    """
    _ = secrets  # the routing key is the secret; the alert is the key of its incident
    url = of(AlertSettings).pagerduty_url
    for event in events(notice, routing_key=config["routingKey"]):
        body = msgspec.json.encode(event)
        key = f"{delivery_id}-{event['event_action']}"
        _accept(post_json(url, body, key=key, headers={}, now=now))
    return ""


def events(notice: Notice, *, routing_key: str) -> list[dict[str, Any]]:
    """What to enqueue, in order. A test closes the incident that it opened."""
    ended = {
        Change.OPENED: notice.supersedes,
        Change.RESOLVED: notice.alert_id,
        Change.TEST: notice.alert_id,
    }[notice.change]
    found = []
    if notice.change is not Change.RESOLVED:
        found.append(_event("trigger", notice.alert_id, routing_key) | _details(notice))
    if ended:
        found.append(_event("resolve", ended, routing_key))
    return found


def _event(action: str, alert_id: str, routing_key: str) -> dict[str, Any]:
    return {
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": f"mainstay-{alert_id}",
    }


def _details(notice: Notice) -> dict[str, Any]:
    links = [{"href": notice.url, "text": "Open in Mainstay"}]
    if notice.acknowledge_url:
        links.append({"href": notice.acknowledge_url, "text": "Acknowledge"})
    if notice.runbook_url:
        links.append({"href": notice.runbook_url, "text": "Runbook"})
    if notice.instance_url:
        links.append({"href": notice.instance_url, "text": "Open the app"})
    return {
        "payload": {
            "summary": notice.title[:LONGEST_SUMMARY],
            "source": notice.instance_url or f"{notice.project_slug} {notice.environment}",
            "severity": SEVERITIES[notice.severity],
            "timestamp": rfc3339(notice.opened_at),
            "component": notice.environment,
            "group": notice.project_slug,
            "class": notice.type,
            "custom_details": {"message": notice.said, "project": notice.project_name},
        },
        "client": "Mainstay",
        "client_url": notice.url,
        "links": links,
    }


class _Refusal(msgspec.Struct):
    """What PagerDuty answers to an event that is not valid."""

    message: str
    errors: list[str] = []


def _accept(posted: Posted) -> None:
    if posted.status == 400:  # noqa: PLR2004 - their word for an event that is not valid
        raise Refused(f"PagerDuty answered 400: {_words_of(posted)}.")
    posted.accept()


def _words_of(posted: Posted) -> str:
    try:
        refusal = msgspec.json.decode(posted.body, type=_Refusal)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return posted.said or "without a word"
    return ": ".join(
        [refusal.message, "; ".join(refusal.errors)] if refusal.errors else [refusal.message]
    )[:LONGEST_REASON]
