"""A sliding question is answered at every minute as it would have been then, of either engine."""

from datetime import datetime, timedelta

from mainstay_server.kernel import columns
from mainstay_server.kernel.columns import Figure, Slid, Windows

from .worlds import VISITS, YESTERDAY, visit

NOON = datetime.fromisoformat(f"{YESTERDAY}T12:00:00+00:00")
MINUTE = timedelta(minutes=1)
HOSTILE = "/it's{number:UInt64}"
FIGURES = {
    "middle": Figure(
        function="quantiles", parameters="(0.5, 1)", arguments="number", holds_values=True
    ),
    "odd": Figure(function="countIf", arguments="number % 2 = 1"),
}


def at(seconds: float) -> str:
    return f"{NOON + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def slid(*, most_parts: int = 10, since: datetime = NOON) -> Slid:
    windows = Windows(width=3 * MINUTE, since=since, until=NOON + 8 * MINUTE)
    return columns.slide(
        VISITS,
        FIGURES,
        "instance = {instance:String}",
        windows,
        part="path",
        most_parts=most_parts,
        instance="shop",
    )


def test_each_window_has_what_is_in_it_from_its_begin_to_before_its_end(store: str) -> None:
    for number, seconds in ((1, -0.001), (2, 0), (3, 59.999), (4, 120), (9, 480)):
        columns.append_blocking(VISITS, visit(number, at=at(seconds)), rows=1)
    columns.append_blocking(VISITS, visit(7, at=at(60), path=HOSTILE), rows=1)

    found = slid()

    assert (found.since, found.has_more_parts) == (NOON, False)
    told = {
        (int((moment - NOON) / MINUTE), row["part"]): (
            row["total"],
            list(row["middle"]),
            row["odd"],
        )
        for moment, rows in found.rows.items()
        for row in rows
    }
    assert told == {
        (1, "/"): (3, [2.0, 3.0], 2),
        (2, "/"): (3, [2.0, 3.0], 2),
        (3, "/"): (3, [3.0, 4.0], 1),
        (4, "/"): (1, [4.0, 4.0], 0),
        (5, "/"): (1, [4.0, 4.0], 0),
        (2, HOSTILE): (1, [7.0, 7.0], 1),
        (3, HOSTILE): (1, [7.0, 7.0], 1),
        (4, HOSTILE): (1, [7.0, 7.0], 1),
    }


def test_of_more_parts_the_busiest_are_told_and_of_nothing_nothing(store: str) -> None:
    assert slid().rows == {}
    for number, path in enumerate(("/a", "/b", "/b")):
        columns.append_blocking(VISITS, visit(number, at=at(1), path=path), rows=1)
    found = slid(most_parts=1)
    assert found.has_more_parts
    assert {row["part"] for rows in found.rows.values() for row in rows} == {"/b"}
