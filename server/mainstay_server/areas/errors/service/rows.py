"""Rows: one error event as the column store keeps it."""

import ipaddress
from collections.abc import Iterable
from datetime import datetime

import msgspec

from mainstay_server.areas.errors.models import LONGEST_CULPRIT, LONGEST_RELEASE, LONGEST_TITLE
from mainstay_server.kernel.subjects import InstanceRef

from .decoding import ErrorEvent, User
from .grouping import group, issue_id_of

LONGEST_WORD = 200
LONGEST_TAG_NAME = 64
MOST_TAGS = 100


class Row(msgspec.Struct, gc=False):
    """One row of `error_events`; the names are those of its columns."""

    project_id: str
    instance_id: str
    issue_id: str
    event_id: str
    intake: str
    batch: int
    received_at: datetime
    grouping_hash: str
    title: str
    culprit: str
    level: str
    release: str
    trace_id: str
    user_key: str
    tags: dict[str, str]
    payload: msgspec.Raw


_encoder = msgspec.json.Encoder()


def encode_rows(rows: list[Row]) -> bytes:
    """The rows as JSON lines."""
    return _encoder.encode_lines(rows)


def row_of(
    event: ErrorEvent,
    payload: bytes,
    *,
    event_id: str,
    instance: InstanceRef,
    received_at: datetime,
) -> Row:
    """Make the row of an event; its batch is told later. `payload` is JSON that decodes."""
    grouped = group(event)
    user = event.user or _NOBODY
    user_id = "" if user.id is None else str(user.id)
    trace = event.contexts.trace if event.contexts is not None else None
    return Row(
        project_id=instance.project_id,
        instance_id=instance.id,
        issue_id=issue_id_of(instance.project_id, grouped.hash),
        event_id=event_id,
        intake="",
        batch=0,
        received_at=received_at,
        grouping_hash=grouped.hash,
        title=grouped.title[:LONGEST_TITLE],
        culprit=grouped.culprit[:LONGEST_CULPRIT],
        level=grouped.level,
        release=(event.release or "")[:LONGEST_RELEASE],
        trace_id=_word(trace.trace_id if trace is not None else ""),
        user_key=_word(user_id or user.email or user.username or user.ip_address),
        tags=tags_of(event, environment=instance.environment),
        # ClickHouse reads an object into a String column as its text: escaping it would take as
        # long as decoding the event did.
        payload=msgspec.Raw(payload),
    )


_NOBODY = User()


def tags_of(event: ErrorEvent, *, environment: str) -> dict[str, str]:
    """The app's own tags, from an object or from pairs, and what else an event is found by."""
    tags = {"environment": environment}
    user = event.user or _NOBODY
    known = (
        ("level", event.level),
        ("release", event.release),
        ("transaction", event.transaction),
        ("server_name", event.server_name),
        ("logger", event.logger),
        ("user.id", user.id),
        ("user.email", user.email),
        ("user.username", user.username),
        ("user.ip", _address(user.ip_address)),
    )
    for name, value in known:
        if value is not None and value != "":
            tags[name] = str(value)[:LONGEST_WORD]
    for key, given in _own_tags(event):
        if len(tags) >= MOST_TAGS:
            break
        if isinstance(key, str) and key and isinstance(given, str | int | float | bool):
            tags.setdefault(key[:LONGEST_TAG_NAME], _tag_value(given))
    return tags


def _own_tags(event: ErrorEvent) -> Iterable[tuple[object, object]]:
    given = event.tags
    if isinstance(given, dict):
        return given.items()
    return [_pair(each) for each in given or ()]


def _tag_value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)[:LONGEST_WORD]


def _pair(given: object) -> tuple[object, object]:
    if isinstance(given, list) and len(given) == len(("name", "value")):
        return given[0], given[1]
    if isinstance(given, dict):
        return given.get("key"), given.get("value")
    return None, None


def _word(value: str | None) -> str:
    return (value or "")[:LONGEST_WORD]


def _address(value: str | None) -> str:
    try:
        return str(ipaddress.ip_address(value)) if value else ""
    except ValueError:
        return ""
