"""Datadog: an event per change through the Events API v1; those of one alert stand together.

Datadog takes no idempotency key: a try whose answer was lost may be shown twice, folded together.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from mainstay_server.areas.alerts.models import Severity
from mainstay_server.areas.alerts.schemas import ConfigField, Notice
from mainstay_server.areas.alerts.settings import AlertSettings
from mainstay_server.kernel.posting import ReceiverGone, invalid, post_json
from mainstay_server.kernel.settings import of

LABEL = "Datadog"
SITES = (
    "datadoghq.com",
    "datadoghq.eu",
    "us3.datadoghq.com",
    "us5.datadoghq.com",
    "ap1.datadoghq.com",
    "ap2.datadoghq.com",
    "ddog-gov.com",
)
FIELDS: Sequence[ConfigField] = (
    ConfigField(
        name="apiKey",
        label="API key",
        placeholder="32 hexadecimal digits",
        hint="In Datadog: Organization Settings, API Keys.",
        secret=True,
    ),
    ConfigField(
        name="site",
        label="Site",
        hint="The end of the address at which you use Datadog.",
        required=False,
        choices=tuple((site, site) for site in SITES),
    ),
)
SIGNED = False
PER_MINUTE = 0

API_KEY = re.compile(r"[0-9a-fA-F]{32}")
SHOWN_CHARACTERS = 4
# https://docs.datadoghq.com/api/latest/events/#post-an-event
LONGEST_TITLE = 100
LONGEST_TEXT = 4000
OLDEST = timedelta(hours=17)  # Datadog takes no event that is older than 18
TYPES = {
    "critical": "error",
    "high": "error",
    "warning": "warning",
    "medium": "warning",
    "resolved": "success",
}
FORBIDDEN = 403


def checked(config: Mapping[str, Any]) -> dict[str, str]:
    """An API key of an organization, and the site that it is of."""
    key = str(config.get("apiKey", "")).strip()
    if not API_KEY.fullmatch(key):
        raise invalid("apiKey", "must be the 32 hexadecimal digits of an API key of Datadog")
    site = str(config.get("site", "")).strip() or SITES[0]
    if site not in SITES:
        raise invalid("site", f"must be one of {', '.join(SITES)}")
    return {"apiKey": key} | ({"site": site} if site != SITES[0] else {})


def shown(config: Mapping[str, Any]) -> str:
    """The site, and the end of the key, which tells two of them apart and opens nothing."""
    return f"{config.get('site', SITES[0])} …{str(config['apiKey'])[-SHOWN_CHARACTERS:]}"


def not_ready() -> str:
    """Datadog needs no setting up here."""
    return ""


def send(
    notice: Notice,
    *,
    config: Mapping[str, Any],
    secrets: Sequence[str],
    delivery_id: str,
    now: datetime,
) -> str:
    """POST the event; a key that is not taken any more is a receiver gone."""
    _ = secrets  # the API key is the secret
    base = of(AlertSettings).datadog_url or f"https://api.{config.get('site', SITES[0])}"
    posted = post_json(
        f"{base.rstrip('/')}/api/v1/events",
        msgspec.json.encode(event(notice, now=now)),
        key=delivery_id,
        headers={"dd-api-key": config["apiKey"]},
        now=now,
    )
    if posted.status == FORBIDDEN:
        raise ReceiverGone(f"{posted.reason} Make a new API key in Datadog, or choose its site.")
    posted.accept()
    return ""


def event(notice: Notice, *, now: datetime) -> dict[str, Any]:
    """The event; its aggregation key is the alert's, so beginning and end stand together."""
    # A text that begins so would be read as Markdown, in which an app could draw any link.
    said = notice.said.replace("%%%", "% % %")
    text = "\n".join([said, "", *[f"{words}: {url}" for words, url in notice.links]])
    sent: dict[str, Any] = {
        "title": notice.headline[:LONGEST_TITLE],
        "text": text.strip()[:LONGEST_TEXT],
        "alert_type": TYPES.get(notice.tone, "info"),
        "priority": "low" if notice.severity in (Severity.INFO, Severity.LOW) else "normal",
        "aggregation_key": f"mainstay-{notice.alert_id}",
        "tags": [
            f"project:{notice.project_slug}",
            f"env:{notice.environment}",
            f"alert:{notice.type}",
            f"severity:{notice.severity}",
        ],
    }
    if now - notice.at < OLDEST:
        sent["date_happened"] = int(notice.at.timestamp())
    return sent
