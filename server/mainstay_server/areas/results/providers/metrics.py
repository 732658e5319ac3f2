"""Numbers in JSON of any shape by their paths, such as `coverage.lines`."""

from collections.abc import Iterator
from typing import Any

from mainstay_server.areas.results.schemas.parsed import (
    LONGEST_NAME,
    MOST_METRICS,
    Parsed,
    decoded,
    number_of,
    unreadable,
)
from mainstay_server.kernel.problems import TooLarge

DEEPEST = 12
NAMES = ("name", "id", "metric", "rule", "file")


def read(body: bytes) -> Parsed:
    """Every number of a document by its path.

    Of a list only what has a name is taken: places in a list mean nothing from file to file. The
    length of each list is a number too.

    Raises:
        Invalid: there is no number in it.
        TooLarge: there are too many.
    """
    metrics: dict[str, float] = {}
    for path, value in _numbers(decoded(body), "", 0):
        if len(metrics) >= MOST_METRICS:
            raise TooLarge(f"It has more than {MOST_METRICS:,} numbers; upload a summary.")
        metrics[path] = value
    if not metrics:
        raise unreadable("there is no number in it")
    return Parsed(metrics=dict(sorted(metrics.items())))


def _numbers(value: Any, path: str, depth: int) -> Iterator[tuple[str, float]]:  # noqa: ANN401 - whatever the JSON says
    if depth > DEEPEST:
        return
    number = number_of(value)
    if number is not None:
        yield path or "value", number
    if isinstance(value, list):
        yield _below(path, "count"), float(len(value))
    for name, inner in _named(value):
        yield from _numbers(inner, _below(path, name), depth + 1)


def _named(value: Any) -> list[tuple[str, Any]]:  # noqa: ANN401 - whatever the JSON says
    """What is in an object, or in a list as far as it has names."""
    if isinstance(value, dict):
        return [(str(key), inner) for key, inner in value.items()]
    if isinstance(value, list):
        return [(name, item) for item in value if (name := _name_of(item))]
    return []


def _below(path: str, name: str) -> str:
    """The path of what lies below, no longer than is kept: a long one is not made for each."""
    return f"{path}.{name[:LONGEST_NAME]}"[:LONGEST_NAME] if path else name[:LONGEST_NAME]


def _name_of(item: Any) -> str:  # noqa: ANN401 - whatever the JSON says
    if not isinstance(item, dict):
        return ""
    return next((item[key] for key in NAMES if isinstance(item.get(key), str)), "")
