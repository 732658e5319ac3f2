"""Slack: a message per change, through an incoming webhook or as the bot of a Slack app.

A bot puts the end of an alert beneath the message of its beginning, and writes of each severity to
a channel of its own if wished. Slack takes no idempotency key: a try whose answer was lost may show
the message twice. Every message names its alert's beginning, by which people tell a repetition.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from mainstay_server.areas.alerts.models import Change, Severity
from mainstay_server.areas.alerts.schemas import ConfigField, Notice
from mainstay_server.areas.alerts.settings import AlertSettings
from mainstay_server.kernel.events import Refused, RetryLater
from mainstay_server.kernel.posting import (
    Posted,
    ReceiverGone,
    checked_url,
    invalid,
    masked_url,
    post_json,
)
from mainstay_server.kernel.settings import of

LABEL = "Slack"
FIELDS: Sequence[ConfigField] = (
    ConfigField(
        name="webhookUrl",
        label="Incoming webhook URL",
        placeholder="https://hooks.slack.com/services/T…/B…/…",
        hint="From your Slack app's page, under Incoming Webhooks; leave it empty for a bot.",
        required=False,
        secret=True,
    ),
    ConfigField(
        name="botToken",
        label="Bot token",
        placeholder="xoxb-…",
        hint="Instead of a webhook: threads, and channels by severity. It needs chat:write.",
        required=False,
        secret=True,
    ),
    ConfigField(
        name="channel",
        label="Channel of the bot",
        placeholder="#alerts or C0123456789",
        hint="Invite the bot there.",
        required=False,
    ),
    ConfigField(
        name="severityChannels",
        label="Other channels by severity",
        placeholder="critical=#incidents, info=#quiet",
        hint="What is not named goes to the channel above.",
        required=False,
    ),
)
SIGNED = False
PER_MINUTE = 60  # Slack takes about one message a second of a channel.

TOKEN = re.compile(r"xox[a-z]-[A-Za-z0-9-]{10,250}")
CHANNEL = re.compile(r"#?[^\s,=#<>@]{1,80}")
# What Slack takes of one text object, and of one field of a section.
LONGEST_URL = 2000
LONGEST_TEXT = 3000
LONGEST_FIELD = 2000
ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
GONE_STATUSES = (404, 410)
# Answers after which Slack never takes a message again; some of webhooks come as a 403, those of
# chat.postMessage as a 200.
# https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling-errors
# https://docs.slack.dev/reference/methods/chat.postMessage#errors
GONE_WORDS = frozenset(
    {
        "account_inactive",
        "channel_is_archived",
        "channel_not_found",
        "invalid_auth",
        "invalid_token",
        "is_archived",
        "missing_scope",
        "no_active_hooks",
        "no_permission",
        "no_service",
        "no_service_id",
        "no_team",
        "not_authed",
        "not_in_channel",
        "team_disabled",
        "token_expired",
        "token_revoked",
    }
)
PASSING_WORDS = frozenset(
    {
        "fatal_error",
        "internal_error",
        "rate_limited",
        "ratelimited",
        "request_timeout",
        "service_unavailable",
        "team_added_to_org",
    }
)


def checked(config: Mapping[str, Any]) -> dict[str, str]:
    """A webhook's URL, or a bot's token and where it writes; a compatible receiver is taken too."""
    given = {field.name: str(config.get(field.name, "")).strip() for field in FIELDS}
    if not given["botToken"]:
        return _of_webhook(given)
    if given["webhookUrl"]:
        raise invalid("webhookUrl", "and botToken are two ways to one end; leave one of them empty")
    if not TOKEN.fullmatch(given["botToken"]):
        raise invalid("botToken", "must be a bot's token: xoxb-…, from OAuth & Permissions")
    if not CHANNEL.fullmatch(given["channel"]):
        raise invalid("channel", "must be one channel: #alerts, or its id as C0123456789")
    by_severity = _by_severity(given["severityChannels"])
    given["severityChannels"] = ", ".join(f"{key}={name}" for key, name in by_severity.items())
    return {name: value for name, value in given.items() if value}


def shown(config: Mapping[str, Any]) -> str:
    """The bot's channel, or the webhook's host: whoever knows the rest may write there."""
    if "botToken" in config:
        return str(config["channel"])
    return masked_url(str(config["webhookUrl"]))


def not_ready() -> str:
    """Slack needs no setting up here."""
    return ""


def send(
    notice: Notice,
    *,
    config: Mapping[str, Any],
    secrets: Sequence[str],
    delivery_id: str,
    now: datetime,
) -> str:
    """POST the message; where the hook, the bot or its channel is gone, so is the receiver.

    A bot's message is known by its channel and its time stamp, which are returned.
    """
    _ = secrets  # the URL is the secret, or the token
    if token := config.get("botToken"):
        body = msgspec.json.encode(message(notice) | _place(notice, config))
        url = f"{of(AlertSettings).slack_url.rstrip('/')}/chat.postMessage"
        headers = {"authorization": f"Bearer {token}"}
        return _accept(post_json(url, body, key=delivery_id, headers=headers, now=now))
    body = msgspec.json.encode(message(notice))
    posted = post_json(config["webhookUrl"], body, key=delivery_id, headers={}, now=now)
    refused = posted.status in range(400, 500)
    if posted.status in GONE_STATUSES or (refused and posted.said in GONE_WORDS):
        raise ReceiverGone(f"{posted.reason} Make a new webhook in Slack and add it here.")
    posted.accept()
    return ""


def message(notice: Notice) -> dict[str, Any]:
    """The message as Block Kit, coloured by its severity; `text` is what notifications show."""
    links = " · ".join(_link(url, words) for words, url in notice.links)
    blocks = [
        _section(f"*{_escaped(notice.title, LONGEST_FIELD)}*"),
        *([_section(_escaped(notice.said, LONGEST_TEXT))] if notice.said else []),
        {"type": "section", "fields": [_field(*fact) for fact in notice.facts]},
        {"type": "context", "elements": [_text(links)]},
    ]
    return {
        "text": _escaped(notice.headline, LONGEST_TEXT),
        "attachments": [{"color": notice.colour, "blocks": blocks}],
    }


def _place(notice: Notice, config: Mapping[str, Any]) -> dict[str, Any]:
    """Where a bot writes: beneath the beginning, and shown in the channel too when it is over."""
    if notice.reply_to:
        channel, _, stamp = notice.reply_to.partition(" ")
        over = notice.change is Change.RESOLVED
        return {"channel": channel, "thread_ts": stamp, "reply_broadcast": over}
    by_severity = _by_severity(config.get("severityChannels", ""))
    alike = [by_severity[one] for one in Severity(notice.severity).equals if one in by_severity]
    return {"channel": alike[0] if alike else config["channel"]}


def _by_severity(text: str) -> dict[str, str]:
    """The channel of each severity that has its own. Raises `Invalid`."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        severity, _, name = (piece.strip() for piece in part.partition("="))
        if severity not in tuple(Severity) or not CHANNEL.fullmatch(name):
            known = ", ".join(f"{one}=#channel" for one in Severity)
            raise invalid("severityChannels", f"must be some of {known}, with commas between")
        found[severity] = name
    return found


class _Answer(msgspec.Struct):
    """What chat.postMessage answers, well or not, with a status of 200."""

    ok: bool = False
    error: str = ""
    channel: str = ""
    ts: str = ""


def _accept(posted: Posted) -> str:
    posted.accept()
    try:
        answer = msgspec.json.decode(posted.body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RetryLater(f"Slack did not answer with JSON: {posted.said}") from None
    if answer.ok:
        return f"{answer.channel} {answer.ts}"
    reason = f"Slack answered {answer.error[:100] or 'without a word'}."
    if answer.error in GONE_WORDS:
        raise ReceiverGone(f"{reason} Mend the bot or its channel in Slack, then switch this on.")
    if answer.error in PASSING_WORDS:
        raise RetryLater(reason, after_seconds=posted.retry_after_seconds)
    raise Refused(reason)


def _of_webhook(given: Mapping[str, str]) -> dict[str, str]:
    for name in ("channel", "severityChannels"):
        if given[name]:
            raise invalid(name, "is for bots: an incoming webhook's channel is chosen in Slack")
    example = "https://hooks.slack.com/services/…"
    url = checked_url(given["webhookUrl"], field="webhookUrl", example=example)
    parts = urlsplit(url)
    host = parts.hostname or ""
    of_slack = host == "slack.com" or host.endswith(".slack.com")
    if of_slack and not parts.path.startswith("/services/"):
        raise invalid(
            "webhookUrl",
            f"must be an incoming webhook ({example}); workflow triggers"
            " and channel pages take no messages of this kind",
        )
    return {"webhookUrl": url}


def _link(url: str, text: str) -> str:
    # "|" would end the address early; it is legal in none, so its escape means the same.
    return f"<{_escaped(url.replace('|', '%7C'), LONGEST_URL)}|{text}>"


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _text(text)}


def _field(name: str, value: str) -> dict[str, Any]:
    return _text(f"*{name}*\n{_escaped(value, LONGEST_FIELD - 100)}")


def _text(text: str) -> dict[str, Any]:
    # verbatim: a bare word in an app's message must not become a link or call a whole channel.
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _escaped(text: str, longest: int) -> str:
    """The text as Slack wants it, cut between characters and never inside of an escape."""
    parts: list[str] = []
    left = longest - 1
    for character in text:
        part = ESCAPED.get(character, character)
        left -= len(part)
        if left < 0:
            return "".join(parts) + "…"
        parts.append(part)
    return "".join(parts)
