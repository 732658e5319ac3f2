"""Webhooks: a signed POST of JSON, by the Standard Webhooks specification 1.0."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from mainstay_server.areas.alerts.models import AlertStatus, Change
from mainstay_server.areas.alerts.schemas import Notice, ReceiverGone
from mainstay_server.kernel.events import Refused, RetryLater
from mainstay_server.kernel.outbound import OutboundError, Response, fetch_blocking
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.web.bodies import rfc3339

LABEL = "Webhook"
CONFIG_KEY = "webhookUrl"
SIGNED = True

SECRET_PREFIX = "whsec_"  # noqa: S105 - the specification's mark of a secret, not one
LONGEST_URL = 2000
TIMEOUT_SECONDS = 10.0
MOST_ANSWER_BYTES = 64 * 1024
MOST_QUOTED = 120
LONGEST_WISHED_PAUSE_SECONDS = 24 * 3600.0
# Somebody has to renew a key over there; knocking every few seconds would not help.
PAUSE_WHEN_UNAUTHORIZED_SECONDS = 15 * 60.0


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
    """Scheme, host and the first part of the path: what follows is a secret at many receivers."""
    parts = urlsplit(str(config[CONFIG_KEY]))
    first, _, rest = parts.path.lstrip("/").partition("/")
    masked = "/…" if rest or parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/{first}{masked}"


def not_ready() -> str:
    """Webhooks need no setting up."""
    return ""


def send(
    notice: Notice, *, config: Mapping[str, Any], secret: str, delivery_id: str, now: datetime
) -> None:
    """POST the notice; 2xx is taken, 410 is gone, and the rest as `_judge` says."""
    body = msgspec.json.encode(document(notice))
    timestamp = str(int(now.timestamp()))
    headers = {
        "content-type": "application/json",
        "user-agent": "Mainstay-Webhook/1",
        "idempotency-key": delivery_id,
        "webhook-id": delivery_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature(secret, delivery_id, timestamp, body),
    }
    try:
        answer = fetch_blocking(
            "POST",
            config[CONFIG_KEY],
            headers=headers,
            body=body,
            timeout_seconds=TIMEOUT_SECONDS,
            max_body_bytes=MOST_ANSWER_BYTES,
        )
    except OutboundError as error:
        failure = Refused if error.kind == "blocked" else RetryLater
        raise failure(error.reason) from None
    _judge(answer, now=now)


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
    return {
        "type": f"alert.{notice.change.value}",
        "timestamp": rfc3339(notice.at),
        "alert": alert,
        "instance": {
            "id": notice.instance_id,
            "environment": notice.environment,
            "url": notice.instance_url,
        },
        "project": {"slug": notice.project_slug, "name": notice.project_name},
        "url": notice.url,
    }


def _judge(answer: Response, *, now: datetime) -> None:
    """Tell from the status whether it was taken, and whether another try makes sense."""
    status = answer.status
    if 200 <= status < 300:  # noqa: PLR2004 - the class of success
        return
    said = " ".join(answer.body.decode(errors="replace").split())[:MOST_QUOTED]
    reason = f"The receiver answered {status}" + (f": {said}" if said else ".")
    if status == 410:  # noqa: PLR2004 - Gone: the specification's way to unsubscribe
        raise ReceiverGone(f"{reason} It says that it is gone for good.")
    if status in (401, 403):
        raise RetryLater(reason, after_seconds=PAUSE_WHEN_UNAUTHORIZED_SECONDS)
    if status in (408, 425, 429) or status >= 500:  # noqa: PLR2004 - the class of their faults
        wished = _retry_after(answer.headers.get("retry-after", ""), now=now)
        raise RetryLater(reason, after_seconds=wished)
    if 300 <= status < 400:  # noqa: PLR2004 - the class of redirects
        raise Refused(f"{reason} Redirects are not followed; give the final URL.")
    raise Refused(reason)


def _retry_after(header: str, *, now: datetime) -> float | None:
    """Retry-After (RFC 9110 section 10.2.3) as seconds from now, at most a day; None without."""
    if header.isascii() and header.isdigit():
        seconds = float(header)
    else:
        try:
            seconds = (parsedate_to_datetime(header) - now).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), LONGEST_WISHED_PAUSE_SECONDS)


def _invalid(what: str) -> Invalid:
    message = f"{CONFIG_KEY} {what}."
    return Invalid(message, errors=[{"field": f"config.{CONFIG_KEY}", "message": message}])
