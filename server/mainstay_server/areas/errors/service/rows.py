"""Rows: one error event as the column store keeps it."""

import ipaddress
from datetime import UTC, datetime, timedelta

import msgspec

from mainstay_server.areas.errors.models import LONGEST_CULPRIT, LONGEST_RELEASE, LONGEST_TITLE
from mainstay_server.kernel.subjects import InstanceRef

from .decoding import ErrorEvent, User
from .grouping import GROUPING, group, issue_id_of

LONGEST_WORD = 200
LONGEST_TAG_NAME = 64
MOST_TAGS = 100
AHEAD = timedelta(minutes=5)
BEHIND = timedelta(days=30)


class Row(msgspec.Struct):
    """One row of `error_events`; the names are those of its columns."""

    project_id: str
    instance_id: str
    issue_id: str
    event_id: str
    intake: str
    batch: int
    received_at: datetime
    timestamp: datetime
    grouping: str
    grouping_hash: str
    title: str
    culprit: str
    level: str
    platform: str
    release: str
    environment: str
    transaction: str
    server_name: str
    sdk: str
    trace_id: str
    user_key: str
    user_id: str
    user_email: str
    user_ip: str
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
    user = event.user or User()
    user_id = "" if user.id is None else str(user.id)
    sdk, trace = event.sdk, event.contexts.trace if event.contexts is not None else None
    return Row(
        project_id=instance.project_id,
        instance_id=instance.id,
        issue_id=issue_id_of(instance.project_id, grouped.hash),
        event_id=event_id,
        intake="",
        batch=0,
        received_at=received_at,
        timestamp=happened_at(event.timestamp, received_at=received_at),
        grouping=GROUPING,
        grouping_hash=grouped.hash,
        title=grouped.title[:LONGEST_TITLE],
        culprit=grouped.culprit[:LONGEST_CULPRIT],
        level=grouped.level,
        platform=_word(event.platform),
        release=(event.release or "")[:LONGEST_RELEASE],
        environment=instance.environment,
        transaction=_word(event.transaction),
        server_name=_word(event.server_name),
        sdk=_word(f"{sdk.name or ''} {sdk.version or ''}".strip() if sdk is not None else ""),
        trace_id=_word(trace.trace_id if trace is not None else ""),
        user_key=_word(user_id or user.email or user.username or user.ip_address),
        user_id=_word(user_id),
        user_email=_word(user.email),
        user_ip=_address(user.ip_address),
        tags=tags_of(event),
        # ClickHouse reads an object into a String column as its text: escaping it would take as
        # long as decoding the event did.
        payload=msgspec.Raw(payload),
    )


def happened_at(given: float | str | None, *, received_at: datetime) -> datetime:
    """When the client says it happened; when it was received if that cannot be right."""
    told: datetime | None = None
    try:
        if isinstance(given, str):
            told = datetime.fromisoformat(given)
        elif given is not None:
            told = datetime.fromtimestamp(given, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return received_at
    if told is None:
        return received_at
    told = told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
    return told if received_at - BEHIND <= told <= received_at + AHEAD else received_at


def tags_of(event: ErrorEvent) -> dict[str, str]:
    """The tags, from an object or from pairs; what is no tag is left out."""
    given = event.tags
    if not given:
        return {}
    pairs = given.items() if isinstance(given, dict) else [_pair(each) for each in given]
    tags: dict[str, str] = {}
    for name, value in pairs:
        if len(tags) >= MOST_TAGS:
            break
        if isinstance(name, str) and name and isinstance(value, str | int | float | bool):
            tags[name[:LONGEST_TAG_NAME]] = _tag_value(value)
    return tags


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
