"""Discord: an embed through the webhook of a channel, one per change.

Discord takes no idempotency key: a try whose answer was lost may be shown twice.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from mainstay_server.areas.alerts.schemas import ConfigField, Notice
from mainstay_server.kernel.clock import rfc3339
from mainstay_server.kernel.posting import (
    Posted,
    ReceiverGone,
    checked_url,
    invalid,
    masked_url,
    post_json,
)

LABEL = "Discord"
FIELDS: Sequence[ConfigField] = (
    ConfigField(
        name="webhookUrl",
        label="Webhook URL",
        placeholder="https://discord.com/api/webhooks/…/…",
        hint="In Discord: the channel's settings, Integrations, Webhooks, Copy Webhook URL.",
    ),
)
SIGNED = False
PER_MINUTE = 30  # Discord takes 30 messages a minute of a webhook's channel.

HOSTS = ("discord.com", "discordapp.com")
# https://discord.com/developers/docs/resources/message#embed-object-embed-limits
LONGEST_TITLE = 256
LONGEST_SAID = 3000
LONGEST_DESCRIPTION = 4096
LONGEST_VALUE = 1000
# What Markdown would read as more than letters, links in sharp brackets included.
MARKDOWN = re.compile(r"([\\`*_~|>#\[\]()<@:-])")
# "Unknown Webhook" and "Invalid Webhook Token": somebody deleted it over there.
# https://discord.com/developers/docs/topics/opcodes-and-status-codes#json
GONE_CODES = (10015, 50027)
GONE_STATUSES = (404, 410)


def checked(config: Mapping[str, Any]) -> dict[str, str]:
    """The URL that Discord gave for a channel; a compatible receiver's is taken too."""
    url = checked_url(
        str(config.get("webhookUrl", "")),
        field="webhookUrl",
        example="https://discord.com/api/webhooks/…",
    )
    parts = urlsplit(url)
    named = parts.hostname or ""
    of_discord = named in HOSTS or named.endswith(tuple(f".{host}" for host in HOSTS))
    if of_discord and not parts.path.startswith("/api/webhooks/"):
        raise invalid("webhookUrl", "must be a webhook's: https://discord.com/api/webhooks/…")
    return {"webhookUrl": url}


def shown(config: Mapping[str, Any]) -> str:
    """Scheme and host: whoever knows the rest may write to the channel."""
    return masked_url(str(config["webhookUrl"]))


def not_ready() -> str:
    """Discord needs no setting up here."""
    return ""


def send(
    notice: Notice,
    *,
    config: Mapping[str, Any],
    secrets: Sequence[str],
    delivery_id: str,
    now: datetime,
) -> str:
    """POST the embed; where the webhook was deleted, the receiver is gone."""
    _ = secrets  # the URL is the secret
    body = msgspec.json.encode(message(notice))
    posted = post_json(config["webhookUrl"], body, key=delivery_id, headers={}, now=now)
    if posted.status in GONE_STATUSES or _code_of(posted) in GONE_CODES:
        raise ReceiverGone(f"{posted.reason} Make a new webhook in Discord and give its URL here.")
    posted.accept()
    return ""


def message(notice: Notice) -> dict[str, Any]:
    """The embed, coloured by its severity; it mentions nobody, whatever an app says."""
    links = " · ".join(f"[{words}]({_safe(url)})" for words, url in notice.links)
    said = _escaped(notice.said, min(LONGEST_SAID, LONGEST_DESCRIPTION - len(links) - 1))
    return {
        "content": "",
        "allowed_mentions": {"parse": []},
        "embeds": [
            {
                "title": notice.headline[:LONGEST_TITLE],
                "url": notice.url,
                "description": f"{said}\n{links}".strip()[:LONGEST_DESCRIPTION],
                "color": int(notice.colour.removeprefix("#"), 16),
                "timestamp": rfc3339(notice.at),
                "fields": [
                    {"name": name, "value": _escaped(value, LONGEST_VALUE) or "—", "inline": True}
                    for name, value in notice.facts
                ],
            }
        ],
    }


def _escaped(text: str, longest: int) -> str:
    """The text without any Markdown in it, cut between characters and never inside an escape."""
    return MARKDOWN.sub(r"\\\1", text[: longest // 2])


def _safe(url: str) -> str:
    return url.replace("(", "%28").replace(")", "%29")


class _Refusal(msgspec.Struct):
    """What Discord answers to what it does not take."""

    code: int = 0


def _code_of(posted: Posted) -> int:
    try:
        return msgspec.json.decode(posted.body, type=_Refusal).code
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 0
