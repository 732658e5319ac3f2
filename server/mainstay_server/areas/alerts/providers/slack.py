"""Slack: a message through an incoming webhook of a Slack app, one per change.

Slack takes no idempotency key here: a try whose answer was lost may show the message twice. Every
message therefore names its alert's beginning, by which people tell a repetition from a new alert.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from mainstay_server.areas.alerts.models import Change
from mainstay_server.areas.alerts.schemas import Notice, ReceiverGone, post_json
from mainstay_server.kernel.problems import Invalid

LABEL = "Slack"
CONFIG_KEY = "webhookUrl"
SIGNED = False
TARGET = "Incoming webhook URL"
PLACEHOLDER = "https://hooks.slack.com/services/T…/B…/…"
HINT = "From your Slack app's page, under Incoming Webhooks: the channel is chosen there."

LONGEST_URL = 2000
# What Slack takes of one text object, and of one field of a section.
LONGEST_TEXT = 3000
LONGEST_FIELD = 2000
WORDS = {Change.RESOLVED: "Resolved", Change.TEST: "Test"}
COLOURS = {
    "critical": "#c81e3a",
    "high": "#c81e3a",
    "warning": "#b25e00",
    "medium": "#b25e00",
    "low": "#2360c4",
    "info": "#2360c4",
    "resolved": "#16794c",
    "test": "#2360c4",
}
ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
GONE_STATUSES = (404, 410)
# Answers after which Slack never takes a message again; some come as a 403.
# https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling-errors
GONE_WORDS = frozenset(
    {
        "channel_is_archived",
        "channel_not_found",
        "invalid_token",
        "no_active_hooks",
        "no_service",
        "no_service_id",
        "no_team",
        "team_disabled",
    }
)


def checked(config: Mapping[str, Any]) -> dict[str, str]:
    """The URL that Slack gave for one channel of its own; a compatible receiver's is taken too."""
    url = str(config.get(CONFIG_KEY, "")).strip()
    try:
        parts = urlsplit(url)
        host, credentials, _ = parts.hostname, parts.username or parts.password, parts.port
    except ValueError:
        raise _invalid("is not a URL; copy it again from Slack") from None
    if parts.scheme not in ("http", "https") or not host or credentials:
        raise _invalid(
            "must be the incoming webhook's URL, such as https://hooks.slack.com/services/…"
        )
    if len(url) > LONGEST_URL or not url.isprintable() or " " in url:
        raise _invalid(f"must be at most {LONGEST_URL} characters, without spaces")
    if host == "slack.com" or host.endswith(".slack.com"):
        _refuse_other_slack_urls(parts.path)
    return {CONFIG_KEY: url}


def shown(config: Mapping[str, Any]) -> str:
    """Scheme and host: whoever knows the rest may write to the channel."""
    parts = urlsplit(str(config[CONFIG_KEY]))
    return f"{parts.scheme}://{parts.netloc}/…"


def not_ready() -> str:
    """Slack needs no setting up here."""
    return ""


def send(
    notice: Notice, *, config: Mapping[str, Any], secret: str, delivery_id: str, now: datetime
) -> None:
    """POST the message; where the hook or its channel is gone, so is the receiver."""
    _ = secret, delivery_id  # the URL is the secret, and Slack knows no key of ours
    posted = post_json(
        config[CONFIG_KEY], msgspec.json.encode(message(notice)), headers={}, now=now
    )
    refused = posted.status in range(400, 500)
    if posted.status in GONE_STATUSES or (refused and posted.said in GONE_WORDS):
        raise ReceiverGone(f"{posted.reason} Make a new webhook in Slack and add it here.")
    posted.accept()


def message(notice: Notice) -> dict[str, Any]:
    """The message as Block Kit, coloured by its severity; `text` is what notifications show."""
    over = notice.change is Change.RESOLVED
    colour = COLOURS[notice.severity if notice.change is Change.OPENED else notice.change.value]
    said = "\n".join(part for part in (notice.resolution if over else "", notice.message) if part)
    blocks = [
        _section(f"*{_escaped(notice.title, LONGEST_FIELD)}*"),
        *([_section(_escaped(said, LONGEST_TEXT))] if said else []),
        {"type": "section", "fields": [_field(*fact) for fact in _facts(notice)]},
        {"type": "context", "elements": [_text(" · ".join(_links(notice)))]},
    ]
    return {
        "text": _escaped(notice.headline, LONGEST_TEXT),
        "attachments": [{"color": colour, "blocks": blocks}],
    }


def _facts(notice: Notice) -> list[tuple[str, str]]:
    facts = [
        ("Status", WORDS.get(notice.change, notice.severity.capitalize())),
        ("Project", notice.project_name),
        ("Environment", notice.environment),
        ("Since", _moment(notice.opened_at)),
    ]
    if notice.change is Change.RESOLVED and notice.resolved_at:
        facts.append(("Over since", _moment(notice.resolved_at)))
    return facts


def _links(notice: Notice) -> list[str]:
    links = [_link(notice.url, "Open in Mainstay")]
    if notice.instance_url.startswith(("http://", "https://")):
        links.append(_link(notice.instance_url, "Open the app"))
    return links


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


def _moment(at: datetime) -> str:
    return f"{at:%-d %b %Y, %H:%M} UTC"


def _refuse_other_slack_urls(path: str) -> None:
    if not path.startswith("/services/"):
        raise _invalid(
            "must be an incoming webhook (https://hooks.slack.com/services/…); workflow triggers"
            " and channel pages take no messages of this kind"
        )


def _invalid(what: str) -> Invalid:
    text = f"{CONFIG_KEY} {what}."
    return Invalid(text, errors=[{"field": f"config.{CONFIG_KEY}", "message": text}])
