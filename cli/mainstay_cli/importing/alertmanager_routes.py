"""Alertmanager's tree of routes, as rows that are read from the top and choose alike."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .alertmanager_matchers import Matchers, joined, read_matchers, without, written
from .alertmanager_times import Interval, check_known, quiet_of
from .drafts import Draft, Unreadable
from .lined import Settings

MOST_ROUTES = 100
MOST_NODES = 2_000
MOST_CASES = 1_000
MOST_LABELS = 20
ALL_LABELS = "..."
LONGEST_WAIT, LONGEST_INTERVAL, LONGEST_REPEAT = 3_600, 86_400, 30 * 86_400
FIELDS = frozenset(
    {
        *("receiver", "group_by", "group_wait", "group_interval", "repeat_interval", "continue"),
        *("match", "match_re", "matchers", "routes"),
        *("mute_time_intervals", "active_time_intervals"),
    }
)
DURATION = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?"
)
SECONDS = (365 * 86_400, 7 * 86_400, 86_400, 3_600, 60, 1, 0.001)


@dataclass
class Node:
    """A route of the tree with what it has from those above it."""

    line: int
    receiver: str
    matchers: Matchers = ()
    goes_on: bool = False
    group_by: Sequence[str] = ()
    wait: float = 30
    interval: float = 300
    repeat: float = 4 * 3_600
    mute: Sequence[str] = ()
    active: Sequence[str] = ()
    children: list["Node"] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """One row: what fits goes to the receiver of its node, or, where it only ends, to nobody."""

    node: Node
    matchers: Matchers
    goes_on: bool
    ends: bool = False


def read_tree(told: Settings, known: Mapping[str, Sequence[Interval]]) -> Node:
    """The tree of a file. Raises `Unreadable` for what Alertmanager would not take either."""
    root = told.section("route")
    root.only(FIELDS, "a route")
    if not root.text("receiver"):
        root.refuse("receiver", "the first route needs a receiver")
    for key in ("match", "match_re", "matchers", "mute_time_intervals", "active_time_intervals"):
        if root.get(key):
            root.refuse(key, f"the first route takes all alerts at all times and has no {key}")
    count = [0]
    node = _node(root, Node(line=root.line, receiver=""), known, count)
    node.goes_on = False
    return node


def nodes_of(node: Node) -> list[Node]:
    """A node and all below it."""
    return [node, *(each for child in node.children for each in nodes_of(child))]


def rows_of(root: Node) -> list[Row]:
    """Rows that choose what the tree chooses. Raises `Unreadable` when they become too many.

    In the tree a match without `continue` leaves the routes beside it unread; a route's own
    receiver hears when none below it fits; what matched below `continue` goes on beside it. In rows
    a match either ends everything or reads on with the next row. Where both are the same, a node is
    one row. Below `continue` its cases are told apart by the opposites of what was before, and
    behind its siblings a row to nobody ends what it took.
    """
    rows = _ending(root, ())
    if len(rows) > MOST_ROUTES:
        raise Unreadable(
            f"The tree of routes becomes {len(rows)} rows, and a project has at most {MOST_ROUTES}."
            " Import it in parts, each for a project of its own."
        )
    return rows


def add_routes(
    draft: Draft,
    rows: Sequence[Row],
    channels: Mapping[str, Sequence[str]],
    known: Mapping[str, Sequence[Interval]],
) -> None:
    """Add the rows to the document; `channels` are those of each receiver."""
    for position, row in enumerate(rows, start=1):
        thing: dict[str, Any] = {
            "position": position,
            "matchers": written(row.matchers) or None,
            "channels": [] if row.ends else sorted(channels[row.node.receiver]),
            "continue": True if row.goes_on else None,
        }
        if not row.ends:
            thing |= _pace(draft, row.node) | _quiet(draft, row.node, known)
        draft.add("alertRoutes", _name(row), thing)


def _name(row: Row) -> str:
    words = written(row.matchers).replace('"', "")
    if row.ends:
        return f"end of {words or 'everything'}"
    return words or ("everything" if row.goes_on else "everything else")


def _node(
    told: Settings, above: Node, known: Mapping[str, Sequence[Interval]], count: list[int]
) -> Node:
    count[0] += 1
    if count[0] > MOST_NODES:
        told.refuse("receiver", f"there are more than {MOST_NODES:,} routes; import them in parts")
    told.only(FIELDS, "a route")
    node = Node(
        line=told.line,
        receiver=told.text("receiver") or above.receiver,
        matchers=read_matchers(told),
        goes_on=told.flag("continue", usual=False),
        group_by=told.texts("group_by") or above.group_by,
        wait=_seconds(told, "group_wait", above.wait),
        interval=_seconds(told, "group_interval", above.interval),
        repeat=_seconds(told, "repeat_interval", above.repeat),
        mute=check_known(told, "mute_time_intervals", known),
        active=check_known(told, "active_time_intervals", known),
    )
    node.children = [_node(each, node, known, count) for each in told.sections("routes")]
    return node


def _ending(node: Node, above: Matchers) -> list[Row]:
    """Rows of a node whose match ends everything, as that of all around it does."""
    path = joined(above, node.matchers)
    if path is None:
        return []
    rows: list[Row] = []
    ends: list[Row] = []
    for number, child in enumerate(node.children, start=1):
        if not child.goes_on or number == len(node.children):
            rows += _ending(child, path)
            continue
        rows += _going_on(child, [path])
        if (within := joined(path, child.matchers)) is not None:
            ends.append(Row(child, within, goes_on=False, ends=True))
    rows += ends
    taken = any(row.matchers == path for row in ends)
    return rows if taken else [*rows, Row(node, path, goes_on=False)]


def _going_on(node: Node, cases: Sequence[Matchers]) -> list[Row]:
    """Rows of a node behind which others are read; no two of them fit one alert by one way."""
    here = [found for case in cases if (found := joined(case, node.matchers)) is not None]
    rows: list[Row] = []
    unread = alone = here
    for child in node.children:
        rows += _going_on(child, unread)
        alone = without(alone, child.matchers)
        if not child.goes_on:
            unread = without(unread, child.matchers)
        if len(rows) + len(alone) + len(unread) > MOST_CASES:
            raise Unreadable(
                f"Line {node.line}: what is below this route with continue falls into more than"
                f" {MOST_CASES:,} cases; write it without continue, or with fewer matchers."
            )
    return [*rows, *(Row(node, case, goes_on=True) for case in alone)]


def _pace(draft: Draft, node: Node) -> dict[str, Any]:
    about = f"line {node.line}, route to {node.receiver}"
    if ALL_LABELS in node.group_by:
        draft.note(about, "group_by ...: alerts are told one by one, but for those of one moment")
        return {"groupBy": [], "waitSeconds": 0, "intervalSeconds": 0} | _repeat(draft, node)
    if len(node.group_by) > MOST_LABELS:
        draft.note(about, f"group_by has more than {MOST_LABELS} labels; the first are taken")
    return {
        "groupBy": list(dict.fromkeys(node.group_by))[:MOST_LABELS],
        "waitSeconds": _capped(draft, node, "group_wait", node.wait, LONGEST_WAIT),
        "intervalSeconds": _capped(draft, node, "group_interval", node.interval, LONGEST_INTERVAL),
    } | _repeat(draft, node)


def _repeat(draft: Draft, node: Node) -> dict[str, Any]:
    seconds = _capped(draft, node, "repeat_interval", node.repeat, LONGEST_REPEAT)
    return {"repeatSeconds": max(seconds, 1)}


def _capped(draft: Draft, node: Node, key: str, seconds: float, longest: int) -> int:
    if seconds > longest:
        about = f"line {node.line}, route to {node.receiver}"
        draft.note(
            about, f"{key} is longer than it may be here, which is {longest} s; taken as that"
        )
    return min(round(seconds), longest)


def _quiet(draft: Draft, node: Node, known: Mapping[str, Sequence[Interval]]) -> dict[str, Any]:
    about = f"line {node.line}, route to {node.receiver}"
    times, zone = quiet_of(draft, about, node.mute, node.active, known)
    return {"muteTimes": times, "timeZone": zone} if times else {}


def _seconds(told: Settings, key: str, usual: float) -> float:
    """A duration as Prometheus writes it: `1d12h`, `30s`."""
    text = told.text(key)
    if not text:
        return usual
    found = DURATION.fullmatch(text)
    if found is None or not any(found.groups()):
        if text == "0":
            return 0
        told.refuse(key, f"{key} is a duration such as 30s, 5m or 1d12h")
    numbers = (int(number[:9]) if number else 0 for number in found.groups())
    return sum(number * unit for number, unit in zip(numbers, SECONDS, strict=True))
