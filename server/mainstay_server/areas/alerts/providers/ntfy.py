"""ntfy: a message to a topic of ntfy.sh or of a server of one's own, with priority and links.

ntfy looks at no idempotency key: a try whose answer was lost may be shown twice.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from mainstay_server.areas.alerts.schemas import ConfigField, Notice
from mainstay_server.kernel.posting import checked_url, invalid, masked_url, post_json

LABEL = "ntfy"
FIELDS: Sequence[ConfigField] = (
    ConfigField(
        name="topicUrl",
        label="Topic's URL",
        placeholder="https://ntfy.sh/my-secret-topic",
        hint="Whoever knows the name of an open topic reads along: choose one nobody guesses.",
    ),
    ConfigField(
        name="accessToken",
        label="Access token",
        placeholder="tk_…",
        hint="Only where the topic asks for one.",
        required=False,
        secret=True,
    ),
)
SIGNED = False
PER_MINUTE = 0

TOPIC = re.compile(r"[A-Za-z0-9_-]{1,64}")
TOKEN = re.compile(r"[\x21-\x7e]{1,200}")
# A longer message becomes an attachment (https://docs.ntfy.sh/publish/#limitations).
MOST_ACTIONS = 3  # as many as it takes
MOST_BYTES = 4000
PRIORITIES = {"critical": 5, "high": 5, "warning": 4, "medium": 4, "low": 2}
USUAL_PRIORITY = 3
TAGS = {
    "critical": "rotating_light",
    "high": "rotating_light",
    "warning": "warning",
    "medium": "warning",
    "resolved": "white_check_mark",
    "test": "test_tube",
}
OTHER_TAG = "information_source"


def checked(config: Mapping[str, Any]) -> dict[str, str]:
    """A topic's URL, and the token of a topic that is not open to all."""
    url = checked_url(
        str(config.get("topicUrl", "")), field="topicUrl", example="https://ntfy.sh/my-topic"
    ).rstrip("/")
    parts = urlsplit(url)
    if not TOPIC.fullmatch(parts.path.rpartition("/")[2]) or parts.query or parts.fragment:
        raise invalid("topicUrl", "must end with a topic: letters, digits, _ and -, at most 64")
    token = str(config.get("accessToken", "")).strip()
    if token and not TOKEN.fullmatch(token):
        raise invalid("accessToken", "must be a token such as tk_…, without spaces")
    return {"topicUrl": url} | ({"accessToken": token} if token else {})


def shown(config: Mapping[str, Any]) -> str:
    """The server: whoever knows the topic may read and write there."""
    return masked_url(str(config["topicUrl"]))


def not_ready() -> str:
    """No setting up is needed here."""
    return ""


def send(
    notice: Notice,
    *,
    config: Mapping[str, Any],
    secrets: Sequence[str],
    delivery_id: str,
    now: datetime,
) -> str:
    """Publish the message as JSON to the server's root, as ntfy wants it."""
    _ = secrets  # the topic is the secret, or its token
    parts = urlsplit(config["topicUrl"])
    folder, _, topic = parts.path.rpartition("/")
    root = urlunsplit((parts.scheme, parts.netloc, f"{folder}/", "", ""))
    token = config.get("accessToken", "")
    headers = {"authorization": f"Bearer {token}"} if token else {}
    body = msgspec.json.encode({"topic": topic, **message(notice)})
    post_json(root, body, key=delivery_id, headers=headers, now=now).accept()
    return ""


def message(notice: Notice) -> dict[str, Any]:
    """What a phone shows: a priority that rings for what is critical, a tap that leads here."""
    shown = notice.links[:MOST_ACTIONS]
    facts = "\n".join(f"{name}: {value}" for name, value in notice.facts)
    return {
        "title": notice.headline,
        "message": _cut(f"{notice.said}\n\n{facts}".strip()),
        "priority": PRIORITIES.get(notice.tone, USUAL_PRIORITY),
        "tags": [TAGS.get(notice.tone, OTHER_TAG), notice.project_slug, notice.environment],
        "click": notice.url,
        "actions": [{"action": "view", "label": words, "url": url} for words, url in shown],
    }


def _cut(text: str) -> str:
    whole = text.encode()
    return text if len(whole) <= MOST_BYTES else whole[:MOST_BYTES].decode(errors="ignore") + "…"
