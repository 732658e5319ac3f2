"""Webhooks: a signed POST of JSON, by the Standard Webhooks specification 1.0."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from mainstay_server.areas.alerts.models import AlertStatus, Change
from mainstay_server.areas.alerts.schemas import Notice, ReceiverGone, post_json
from mainstay_server.kernel.clock import rfc3339
from mainstay_server.kernel.problems import Invalid

LABEL = "Webhook"
CONFIG_KEY = "webhookUrl"
SIGNED = True
TARGET = "URL"
PLACEHOLDER = "https://hooks.example.com/…"
HINT = "It gets signed JSON (Standard Webhooks)."

SECRET_PREFIX = "whsec_"  # noqa: S105 - the specification's mark of a secret, not one
LONGEST_URL = 2000
LONGEST_WORD = 20  # longer first parts of a path are tokens rather than words


def checked(config: Mapping[str, Any]) -> dict[str, str]:
    """An http or https URL without user name and password in it."""
    url = str(config.get(CONFIG_KEY, "")).strip()
    try:
        parts = urlsplit(url)
        host, credentials, _ = parts.hostname, parts.username or parts.password, parts.port
    except ValueError:
        raise _invalid("is not a URL; copy it again from the receiver") from None
    if parts.scheme not in ("http", "https") or not host:
        raise _invalid("must begin with https:// or http:// and name a host")
    if credentials:
        raise _invalid("must not hold a user name or password; messages are signed instead")
    if len(url) > LONGEST_URL or not url.isprintable() or " " in url:
        raise _invalid(f"must be at most {LONGEST_URL} characters, without spaces")
    return {CONFIG_KEY: url}


def shown(config: Mapping[str, Any]) -> str:
    """Scheme, host and the first word of the path: what follows is a secret at many receivers."""
    parts = urlsplit(str(config[CONFIG_KEY]))
    first, _, rest = parts.path.lstrip("/").partition("/")
    if len(first) > LONGEST_WORD:
        return f"{parts.scheme}://{parts.netloc}/…"
    masked = "/…" if rest or parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/{first}{masked}"


def not_ready() -> str:
    """Webhooks need no setting up."""
    return ""


def send(
    notice: Notice, *, config: Mapping[str, Any], secret: str, delivery_id: str, now: datetime
) -> None:
    """POST the notice; 2xx is taken, 410 is gone, and the rest as `Posted.accept` says."""
    body = msgspec.json.encode(document(notice))
    timestamp = str(int(now.timestamp()))
    headers = {
        "user-agent": "Mainstay-Webhook/1",
        "idempotency-key": delivery_id,
        "webhook-id": delivery_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature(secret, delivery_id, timestamp, body),
    }
    posted = post_json(config[CONFIG_KEY], body, headers=headers, now=now)
    if posted.status == 410:  # noqa: PLR2004 - Gone: the specification's way to unsubscribe
        raise ReceiverGone(f"{posted.reason} It says that it is gone for good.")
    posted.accept()


def signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """`v1,` and the base64 HMAC-SHA256 of `id.timestamp.body` (Standard Webhooks, "Signature")."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


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
    return {
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
        }
        for one in notice.gathered
    ]
    return {
        "digest": {"title": notice.title, "count": notice.gathered_count, "alerts": alerts},
    }


def _invalid(what: str) -> Invalid:
    message = f"{CONFIG_KEY} {what}."
    return Invalid(message, errors=[{"field": f"config.{CONFIG_KEY}", "message": message}])
