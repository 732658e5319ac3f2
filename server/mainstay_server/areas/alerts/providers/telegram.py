"""Telegram: a message of a bot to a chat; the end of an alert answers the message of its beginning.

Telegram takes no idempotency key: a try whose answer was lost may be shown twice.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

import msgspec

from mainstay_server.areas.alerts.schemas import ConfigField, Notice
from mainstay_server.areas.alerts.settings import AlertSettings
from mainstay_server.kernel.events import Refused, RetryLater
from mainstay_server.kernel.posting import Posted, ReceiverGone, invalid, post_json
from mainstay_server.kernel.settings import of

LABEL = "Telegram"
FIELDS: Sequence[ConfigField] = (
    ConfigField(
        name="chatId",
        label="Chat",
        placeholder="-1001234567890 or @channel",
        hint="The number of the chat, or @ and the name of a public channel; the bot is in it.",
    ),
    ConfigField(
        name="botToken",
        label="Bot token",
        placeholder="123456:ABC…",
        hint="From @BotFather, after /newbot.",
        secret=True,
    ),
    ConfigField(
        name="topicId",
        label="Topic",
        placeholder="42",
        hint="Only of a group with topics: the number of one.",
        required=False,
    ),
)
SIGNED = False
PER_MINUTE = 20  # Telegram takes 20 messages a minute of a bot for a group.

TOKEN = re.compile(r"\d{3,20}:[A-Za-z0-9_-]{20,100}")
CHAT = re.compile(r"-?\d{1,20}|@[A-Za-z][A-Za-z0-9_]{3,31}")
TOPIC = re.compile(r"[1-9]\d{0,15}")
# Telegram takes 4096 characters of a message, counted without its marks.
LONGEST_SAID = 3000
MARKS = {"critical": "🔴", "high": "🔴", "warning": "🟠", "medium": "🟠", "resolved": "🟢"}
OTHER_MARK = "🔵"
UNAUTHORIZED, FORBIDDEN, MISSING = 401, 403, 404
BAD_REQUEST = 400
# What a 400 says when nobody is there any more; other 400s are about the message.
GONE_WORDS = ("chat not found", "group chat was upgraded", "message thread not found")


def checked(config: Mapping[str, Any]) -> dict[str, str]:
    """The token of a bot, the chat that it writes to, and maybe a topic of that."""
    given = {field.name: str(config.get(field.name, "")).strip() for field in FIELDS}
    if not CHAT.fullmatch(given["chatId"]):
        raise invalid("chatId", "must be a chat's number, such as -1001234567890, or @channel")
    if not TOKEN.fullmatch(given["botToken"]):
        raise invalid("botToken", "must be a bot's token, such as 123456:ABC…, from @BotFather")
    if given["topicId"] and not TOPIC.fullmatch(given["topicId"]):
        raise invalid("topicId", "must be the number of a topic, or left out")
    return {name: value for name, value in given.items() if value}


def shown(config: Mapping[str, Any]) -> str:
    """The chat; the token is the secret."""
    topic = f" topic {config['topicId']}" if config.get("topicId") else ""
    return f"{config['chatId']}{topic}"


def not_ready() -> str:
    """Telegram needs no setting up here."""
    return ""


def send(
    notice: Notice,
    *,
    config: Mapping[str, Any],
    secrets: Sequence[str],
    delivery_id: str,
    now: datetime,
) -> str:
    """Send the message; returns its number. A bot or chat that is no more is a receiver gone."""
    _ = secrets  # the bot's token is the secret
    url = f"{of(AlertSettings).telegram_url.rstrip('/')}/bot{config['botToken']}/sendMessage"
    body = msgspec.json.encode(message(notice, config=config))
    try:
        posted = post_json(url, body, key=delivery_id, headers={}, now=now)
        answer = _answer_of(posted)
        _accept(posted, answer)
    except (RetryLater, Refused) as failure:
        # The URL holds the token; whatever a message quotes of it must not.
        failure.args = (str(failure).replace(config["botToken"], "…"),)
        raise
    return str(answer.result.get("message_id", ""))


def message(notice: Notice, *, config: Mapping[str, Any]) -> dict[str, Any]:
    """The message in Telegram's HTML; what apps say is escaped, and no link is unfolded."""
    said = notice.said[:LONGEST_SAID]
    lines = [
        f"{MARKS.get(notice.tone, OTHER_MARK)} <b>{escape(notice.headline)}</b>",
        *([escape(said, quote=False)] if said else []),
        "",
        *[f"{name}: {escape(value, quote=False)}" for name, value in notice.facts],
        "",
        " · ".join(f'<a href="{escape(url)}">{words}</a>' for words, url in notice.links),
    ]
    sent: dict[str, Any] = {
        "chat_id": config["chatId"],
        "text": "\n".join(lines),
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": True},
    }
    if topic := config.get("topicId"):
        sent["message_thread_id"] = int(topic)
    if notice.reply_to.isdigit():
        sent["reply_parameters"] = {
            "message_id": int(notice.reply_to),
            "allow_sending_without_reply": True,
        }
    return sent


class _Answer(msgspec.Struct):
    """What Telegram answers, well or not."""

    ok: bool = False
    description: str = ""
    result: dict[str, Any] = {}
    parameters: dict[str, Any] = {}


def _answer_of(posted: Posted) -> _Answer:
    try:
        return msgspec.json.decode(posted.body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Answer(description=posted.said)


def _accept(posted: Posted, answer: _Answer) -> None:
    reason = f"Telegram answered {posted.status}: {answer.description[:200] or 'without a word'}."
    if posted.status in (UNAUTHORIZED, MISSING):
        raise ReceiverGone(f"{reason} Give a token that @BotFather still knows.")
    if posted.status == FORBIDDEN:
        raise ReceiverGone(f"{reason} Add the bot to the chat again.")
    if posted.status == BAD_REQUEST:
        if any(words in answer.description for words in GONE_WORDS):
            moved = answer.parameters.get("migrate_to_chat_id")
            raise ReceiverGone(f"{reason} Give the chat's number{f': {moved}' if moved else ''}.")
        raise Refused(reason)
    pause = answer.parameters.get("retry_after")
    if isinstance(pause, int) and posted.status == 429:  # noqa: PLR2004 - Too Many Requests
        raise RetryLater(reason, after_seconds=min(float(pause), 24 * 3600.0))
    posted.accept()
