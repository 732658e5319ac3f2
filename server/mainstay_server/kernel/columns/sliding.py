"""A question over a window that slides: what it would have been answered at every whole minute."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from .store import query
from .tables import Table

MINUTE_SECONDS = 60
HOUR_SECONDS = 3600
MINUTES_OF_HOUR = 60
MOST_POINTS = 200_000
"""So many answers are made, one for each minute and part: 20 parts of a week."""
MOST_VALUES = 60_000_000
"""So many values are looked at, one of the table in several windows as often: a second or two."""
MOST_PARTS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """An aggregate of the engine over columns of a table, `function(parameters)(arguments)`.

    `holds_values`: its state grows with the rows that are in it, as that of a quantile.
    """

    function: str
    arguments: str = ""
    parameters: str = ""
    holds_values: bool = False

    @property
    def sql(self) -> str:
        """The aggregate over rows."""
        return f"{self.function}{self.parameters}({self.arguments})"

    @property
    def state_sql(self) -> str:
        """The same as a state that can be merged."""
        return f"{self.function}State{self.parameters}({self.arguments})"

    def merged_sql(self, states: str) -> str:
        """The aggregate over such states."""
        return f"{self.function}Merge{self.parameters}({states})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Windows of one width in whole minutes: one ends at each minute after `since`, to `until`."""

    width: timedelta
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Slid:
    """The answers of a sliding question, by moment; of each part a row with its figures.

    `since` is later than was asked where the whole span would be too much to look at, and
    `has_more_parts` says that some parts were left out. A window without rows has no answer.
    """

    since: datetime
    has_more_parts: bool
    rows: Mapping[datetime, Sequence[Mapping[str, Any]]]


def slide(
    table: Table,
    figures: Mapping[str, Figure],
    where: str,
    windows: Windows,
    *,
    part: str,
    most_parts: int = MOST_PARTS,
    **parameters: object,
) -> Slid:
    """Answer a question as if it had been asked at the end of each window.

    Each answer is of the rows in its window, from its begin to before its end, and so the same as
    asking then, but for rows that came late. A row of it has `part`, its `total` of rows, and the
    `figures`. Of more than `most_parts` the busiest are answered of.

    One question to the engine makes a state of each minute and merges those of every window. At
    most `MOST_POINTS` answers are made of at most `MOST_VALUES` values: of a span that has more
    only its end is looked at, an hour at least. Raises what `query` raises.
    """
    since, until, width = windows.since, windows.until, windows.width
    of = f"{where} AND {table.time_column} < {{until:DateTime64(3, 'UTC')}}"
    asked = _Question(table, dict(figures), of, part, int(width.total_seconds()))
    given = {**parameters, "until": until}
    parts = query(asked.parts(), **given, begin=since - width, most=most_parts + 1)
    names = [row["part"] for row in parts[:most_parts]]
    if not names:
        return Slid(since=since, has_more_parts=False, rows={})
    given |= {"parts": names}
    hours = query(asked.hours(), **given, begin=since - width)
    first = max(since, asked.affordable(hours, until=until))
    found = query(
        asked.answers(),
        **given,
        begin=first - width,
        first=int(first.timestamp()) // MINUTE_SECONDS,
        last=int(until.timestamp()) // MINUTE_SECONDS,
        minutes=asked.window_minutes,
    )
    rows: dict[datetime, list[Mapping[str, Any]]] = {}
    for moment, row in _by_moment(found, figures):
        rows.setdefault(moment, []).append(row)
    return Slid(since=first, has_more_parts=len(parts) > most_parts, rows=rows)


@dataclass(frozen=True, slots=True)
class _Question:
    table: Table
    figures: dict[str, Figure]
    of: str
    part: str
    window_seconds: int

    @property
    def window_minutes(self) -> int:
        return self.window_seconds // MINUTE_SECONDS

    def parts(self) -> str:
        return (
            f"SELECT {self.part} AS part, count() AS total {self._from()}"
            " GROUP BY part ORDER BY total DESC, part LIMIT {most:UInt32}"
        )

    def hours(self) -> str:
        return (
            f"SELECT {self._every(HOUR_SECONDS)} AS hour, count() AS total,"
            f" uniqExact({self.part}) AS parts {self._from()} AND {self._chosen()} GROUP BY hour"
        )

    def affordable(self, hours: Sequence[Mapping[str, Any]], *, until: datetime) -> datetime:
        """From when on no more is looked at than may be, an hour before `until` at least."""
        copies = self.window_minutes if any(f.holds_values for f in self.figures.values()) else 1
        by_hour = {row["hour"]: row for row in hours}
        newest = (int(until.timestamp()) - 1) // HOUR_SECONDS
        values = points = 0
        for hour in range(newest, min(by_hour, default=newest) - 1, -1):
            row = by_hour.get(hour, {"total": 0, "parts": 0})
            values += copies * row["total"]
            # What came in one hour is still in the windows of the next.
            before = by_hour.get(hour - 1, {"parts": 0})
            points += MINUTES_OF_HOUR * max(row["parts"], before["parts"])
            if hour < newest and (values > MOST_VALUES or points > MOST_POINTS):
                return datetime.fromtimestamp((hour + 1) * HOUR_SECONDS, tz=UTC)
        return datetime.fromtimestamp(0, tz=UTC)

    def answers(self) -> str:
        """One row for each part, with its answers; states of minutes without rows are empty."""
        all_figures = {"total": Figure(function="count"), **self.figures}
        states = ", ".join(f"{f.state_sql} AS {name}_state" for name, f in all_figures.items())
        merged = ", ".join(
            f"{f.merged_sql(f'{name}_state')} OVER sliding AS {name}_found"
            for name, f in all_figures.items()
        )
        told = ", ".join(f"groupArray({name}_found) AS {name}" for name in all_figures)
        return (
            f"SELECT part, groupArray(minute) AS minutes, {told} FROM ("  # noqa: S608 - a caller's own SQL
            f"SELECT part, minute, {merged} FROM ("
            "SELECT arrayJoin({parts:Array(String)}) AS part, number + {first:Int64}"
            " - {minutes:Int64} AS minute"
            " FROM numbers(toUInt64({last:Int64} - {first:Int64} + {minutes:Int64}))"
            ") AS every LEFT JOIN ("
            f"SELECT toString({self.part}) AS part, {self._every(MINUTE_SECONDS)} AS minute,"
            f" {states} {self._from()} AND {self._chosen()} GROUP BY part, minute"
            ") AS stored USING (part, minute)"
            " WINDOW sliding AS (PARTITION BY part ORDER BY minute ASC"
            f" RANGE BETWEEN {self.window_minutes - 1} PRECEDING AND CURRENT ROW)"
            ") WHERE total_found > 0 AND minute >= {first:Int64} GROUP BY part ORDER BY part"
        )

    def _from(self) -> str:
        return (
            f"FROM {self.table.name} WHERE {self.of}"
            f" AND {self.table.time_column} >= {{begin:DateTime64(3, 'UTC')}}"
        )

    def _chosen(self) -> str:
        return f"has({{parts:Array(String)}}, toString({self.part}))"

    def _every(self, seconds: int) -> str:
        return f"toInt64(intDiv(toUnixTimestamp({self.table.time_column}), {seconds}))"


def _by_moment(
    found: Sequence[Mapping[str, Any]], figures: Mapping[str, Figure]
) -> Iterator[tuple[datetime, Mapping[str, Any]]]:
    """Every answer with its moment: the end of the newest minute of its window."""
    names = ("total", *figures)
    for row in found:
        for minute, *values in zip(row["minutes"], *(row[name] for name in names), strict=True):
            moment = datetime.fromtimestamp((minute + 1) * MINUTE_SECONDS, tz=UTC)
            yield moment, {"part": row["part"], **dict(zip(names, values, strict=True))}
