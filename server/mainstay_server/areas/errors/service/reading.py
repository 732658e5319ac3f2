"""Reading events: trends of issues, the events of one, and what their tags say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from mainstay_server.areas.errors.columns import RETENTION_DAYS
from mainstay_server.kernel import columns

MOST_TAGS_SHOWN = 12
MOST_VALUES_SHOWN = 5
BUCKETS = 24

_TRENDS = (
    "SELECT issue_id, uniqIf(user_key, user_key != '') AS users,"
    " sumMap([toUInt32(intDiv(toUnixTimestamp(received_at) - {start:UInt32}, {step:UInt32}))],"
    " [toUInt64(1)]) AS buckets FROM error_events"
    " WHERE project_id = {project:String} AND issue_id IN {issues:Array(String)}"
    " AND received_at >= {since:DateTime64(3)}"
)
_OF_INSTANCE = " AND instance_id = {instance:String}"
_EVENT_COLUMNS = "event_id, received_at, release, level, title, instance_id, user_key, tags"


@dataclass(frozen=True, kw_only=True)
class Trend:
    """How often an issue happened in equal spans of time, the oldest first, and to how many."""

    values: tuple[int, ...]
    users: int


@dataclass(frozen=True, kw_only=True)
class StoredEvent:
    """One event as it is stored; `payload` is empty in lists."""

    event_id: str
    received_at: datetime
    release: str
    level: str
    title: str
    instance_id: str
    user: str
    tags: Mapping[str, str]
    payload: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class TagShare:
    """A tag and its most frequent values with the number of events of each."""

    name: str
    events: int
    values: Sequence[tuple[str, int]]


def trends_of(
    project_id: str,
    issue_ids: Sequence[str],
    *,
    instance_id: str = "",
    hours: int,
    now: datetime,
    buckets: int = BUCKETS,
) -> dict[str, Trend]:
    """The trends of issues over the last hours, in one question; none for those without events."""
    if not issue_ids:
        return {}
    step = max(1, hours * 3600 // buckets)
    start = int(now.timestamp()) - step * buckets
    rows = columns.query(
        _TRENDS + (_OF_INSTANCE if instance_id else "") + " GROUP BY issue_id",
        project=project_id,
        issues=list(issue_ids),
        instance=instance_id,
        since=datetime.fromtimestamp(start, tz=UTC),
        start=start,
        step=step,
    )
    return {
        row["issue_id"]: Trend(values=_spread(row["buckets"], buckets), users=row["users"])
        for row in rows
    }


def times_of(hours: int, *, now: datetime, buckets: int = BUCKETS) -> list[int]:
    """When the spans of a trend begin, in Unix seconds."""
    step = max(1, hours * 3600 // buckets)
    start = int(now.timestamp()) - step * buckets
    return [start + step * position for position in range(buckets)]


def list_events(
    project_id: str,
    issue_id: str,
    *,
    before: tuple[datetime, str] | None,
    limit: int,
    now: datetime,
) -> list[StoredEvent]:
    """The events of an issue, the latest first; `before` is the time and id of one of them."""
    older = ""
    if before is not None:
        older = " AND (received_at, event_id) < ({at:DateTime64(3)}, {id:String})"
    rows = columns.query(
        f"SELECT {_EVENT_COLUMNS} FROM error_events WHERE project_id = {{project:String}}"  # noqa: S608 - constants
        f" AND issue_id = {{issue:String}} AND received_at >= {{since:DateTime64(3)}}{older}"
        " ORDER BY received_at DESC, event_id DESC LIMIT {limit:UInt32}",
        project=project_id,
        issue=issue_id,
        since=_oldest(now),
        at=before[0] if before else now,
        id=before[1] if before else "",
        limit=limit,
    )
    return [_stored(row) for row in rows]


def find_event(project_id: str, issue_id: str, event_id: str) -> StoredEvent | None:
    """One event of an issue with its payload; the latest for `latest`. None when there is none."""
    condition = "" if event_id == "latest" else " AND event_id = {event:String}"
    rows = columns.query(
        f"SELECT {_EVENT_COLUMNS}, payload FROM error_events"  # noqa: S608 - constants
        f" WHERE project_id = {{project:String}} AND issue_id = {{issue:String}}{condition}"
        " ORDER BY received_at DESC, event_id DESC LIMIT 1",
        project=project_id,
        issue=issue_id,
        event=event_id,
    )
    return _stored(rows[0]) if rows else None


def neighbours(project_id: str, issue_id: str, event: StoredEvent) -> tuple[str, str]:
    """The ids of the event before and the one after, empty where there is none."""
    row = columns.query_row(
        "SELECT argMaxIf(event_id, (received_at, event_id), (received_at, event_id) < ({at:DateTime64(3)}, {id:String})) AS older,"  # noqa: E501 - SQL
        " argMinIf(event_id, (received_at, event_id), (received_at, event_id) > ({at:DateTime64(3)}, {id:String})) AS newer"  # noqa: E501 - SQL
        " FROM error_events WHERE project_id = {project:String} AND issue_id = {issue:String}",
        project=project_id,
        issue=issue_id,
        at=event.received_at,
        id=event.event_id,
    )
    return row["older"], row["newer"]


def tag_shares(project_id: str, issue_id: str, *, now: datetime) -> list[TagShare]:
    """The tags of an issue's events, the most frequent first, with their most frequent values."""
    rows = columns.query(
        "SELECT tag.1 AS name, tag.2 AS value, count() AS events"
        " FROM (SELECT arrayJoin(tags) AS tag FROM error_events"
        " WHERE project_id = {project:String} AND issue_id = {issue:String}"
        " AND received_at >= {since:DateTime64(3)} ORDER BY received_at DESC LIMIT 200000)"
        " GROUP BY name, value ORDER BY events DESC LIMIT 20 BY name LIMIT 1000",
        project=project_id,
        issue=issue_id,
        since=_oldest(now),
    )
    found: dict[str, list[tuple[str, int]]] = {}
    for row in rows:
        found.setdefault(row["name"], []).append((row["value"], row["events"]))
    shares = [
        TagShare(name=name, events=sum(n for _, n in values), values=values[:MOST_VALUES_SHOWN])
        for name, values in found.items()
    ]
    return sorted(shares, key=lambda share: (-share.events, share.name))[:MOST_TAGS_SHOWN]


def events_by_instance(
    instance_ids: Sequence[str], *, hours: int, now: datetime
) -> dict[str, tuple[int, ...]]:
    """How many events instances had in each span of the last hours, for those that had any."""
    step = max(1, hours * 3600 // BUCKETS)
    start = int(now.timestamp()) - step * BUCKETS
    rows = columns.query(
        "SELECT instance_id,"
        " sumMap([toUInt32(intDiv(toUnixTimestamp(received_at) - {start:UInt32}, {step:UInt32}))],"
        " [toUInt64(1)]) AS buckets FROM error_events"
        " WHERE instance_id IN {instances:Array(String)} AND received_at >= {since:DateTime64(3)}"
        " GROUP BY instance_id",
        instances=list(instance_ids),
        since=datetime.fromtimestamp(start, tz=UTC),
        start=start,
        step=step,
    )
    return {row["instance_id"]: _spread(row["buckets"], BUCKETS) for row in rows}


def _spread(buckets: Any, size: int) -> tuple[int, ...]:  # noqa: ANN401 - as the engine gives it
    keys, counts = buckets
    values = [0] * size
    for position, count in zip(keys, counts, strict=True):
        # Events of this very second fall behind the last span; they belong to it.
        values[min(position, size - 1)] += count
    return tuple(values)


def _stored(row: Mapping[str, Any]) -> StoredEvent:
    return StoredEvent(
        event_id=row["event_id"],
        received_at=row["received_at"],
        release=row["release"],
        level=row["level"],
        title=row["title"],
        instance_id=row["instance_id"],
        user=row["user_key"],
        tags=dict(row["tags"]),
        payload=row.get("payload", ""),
    )


def _oldest(now: datetime) -> datetime:
    return now - timedelta(days=RETENTION_DAYS)
