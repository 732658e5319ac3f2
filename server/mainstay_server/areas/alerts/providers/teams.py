"""Microsoft Teams: an Adaptive Card to the webhook of a workflow, one per change.

What apps say stands in text runs, which know no Markdown: it can draw no link and call nobody.
Teams takes no idempotency key that it looks at: a try whose answer was lost may be shown twice.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from mainstay_server.areas.alerts.schemas import ConfigField, Notice
from mainstay_server.kernel.posting import ReceiverGone, checked_url, masked_url, post_json

LABEL = "Microsoft Teams"
FIELDS: Sequence[ConfigField] = (
    ConfigField(
        name="webhookUrl",
        label="Workflow's webhook URL",
        placeholder="https://….logic.azure.com/workflows/…",
        hint="In Teams: the channel's menu, Workflows, “Send webhook alerts to a channel”.",
    ),
)
SIGNED = False
PER_MINUTE = 0

# Teams takes 28 KB of a message; the words of an alert stay far below it.
LONGEST_TEXT = 4000
COLOURS = {
    "critical": "attention",
    "high": "attention",
    "warning": "warning",
    "medium": "warning",
    "resolved": "good",
}
# A workflow that was deleted, or whose trigger was: Azure says so with these.
GONE_STATUSES = (404, 410)


def checked(config: Mapping[str, Any]) -> dict[str, str]:
    """The URL that Teams gave for a workflow; the whole of it, for its query signs it."""
    given = str(config.get("webhookUrl", ""))
    example = "https://….logic.azure.com/workflows/…"
    return {"webhookUrl": checked_url(given, field="webhookUrl", example=example)}


def shown(config: Mapping[str, Any]) -> str:
    """Scheme and host: whoever knows the rest may write to the channel."""
    return masked_url(str(config["webhookUrl"]))


def not_ready() -> str:
    """Teams needs no setting up here."""
    return ""


def send(
    notice: Notice,
    *,
    config: Mapping[str, Any],
    secrets: Sequence[str],
    delivery_id: str,
    now: datetime,
) -> str:
    """POST the card; where the workflow is no more, so is the receiver."""
    _ = secrets  # the URL is the secret
    body = msgspec.json.encode(message(notice))
    posted = post_json(config["webhookUrl"], body, key=delivery_id, headers={}, now=now)
    if posted.status in GONE_STATUSES:
        raise ReceiverGone(f"{posted.reason} Make a new workflow in Teams and give its URL here.")
    posted.accept()
    return ""


def message(notice: Notice) -> dict[str, Any]:
    """The message that a workflow posts: one Adaptive Card 1.4 with its links as buttons."""
    colour = COLOURS.get(notice.tone, "accent")
    head = {"text": notice.headline, "weight": "bolder", "size": "medium", "color": colour}
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": notice.headline,
        "msteams": {"width": "Full"},
        "body": [
            _line(head),
            *[_line({"text": part}) for part in notice.said.splitlines() if part.strip()],
            *[
                _line({"text": f"{name}: ", "isSubtle": True}, {"text": value})
                for name, value in notice.facts
            ],
        ],
        "actions": [
            {"type": "Action.OpenUrl", "title": words, "url": url} for words, url in notice.links
        ],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return {"type": "message", "attachments": [attachment]}


def _line(*runs: dict[str, Any]) -> dict[str, Any]:
    inlines = [{"type": "TextRun", **run, "text": run["text"][:LONGEST_TEXT]} for run in runs]
    return {"type": "RichTextBlock", "inlines": inlines}
