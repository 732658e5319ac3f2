"""Measures: numbers about instances that areas declare, for rules that compare them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from sqlalchemy.orm import Session

from .columns import Windows

Unit = Literal["percent", "ms", "seconds", "hours", "per hour", "count"]

LONGEST_PART = 500
MOST_PARTS = 200
"""So many parts of one instance are told of, the busiest or the worst first."""
MOST_PARTS_REPLAYED = 20
"""So many parts of one instance are told of when the past is asked for."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One number by which an instance is judged, such as the share of its failed requests.

    `name` begins with the area's, as `requests.error_rate`. Where `worse` is `below`, small values
    are the bad ones.
    """

    name: str
    title: str
    unit: Unit
    description: str
    worse: Literal["above", "below"] = "above"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The values of an instance, or of one part of it, by the names of their measures.

    `count` is of how many things they were made, such as requests. A value that cannot be told
    is absent.
    """

    instance_id: str
    values: Mapping[str, float]
    part: str = ""
    count: int = 0


class ReadMeasures(Protocol):
    """Read every measure of a family for all instances, in one question."""

    def __call__(
        self, session: Session, *, since: datetime, until: datetime, by_part: bool
    ) -> Sequence[Reading]:
        """The readings of all instances that have any from `since` to before `until`.

        Without `by_part` one reading stands for the whole of an instance: its sum, or its worst
        part. With it there is one for each part, at most `MOST_PARTS` of an instance.
        """


@dataclass(frozen=True, kw_only=True)
class PastQuestion:
    """Of which measure of which instance, over which windows.

    By part of one `part` alone, or of each of them when it is "".
    """

    measure: str
    instance_id: str
    windows: Windows
    by_part: bool = False
    part: str = ""


@dataclass(frozen=True, kw_only=True)
class Past:
    """What `read` would have answered of one instance at every whole minute of a span.

    `at` gives the readings of a moment after `since`; none where there were none. `since` is later
    than was asked where all of it would be too much to look at, and `has_more_parts` says that only
    the busiest `MOST_PARTS_REPLAYED` parts are told of.
    """

    since: datetime
    has_more_parts: bool
    at: Callable[[datetime], Sequence[Reading]] = field(repr=False)


class ReplayMeasures(Protocol):
    """Read a measure of the past of one instance, as the rules would have been told it."""

    def __call__(self, session: Session, asked: PastQuestion) -> Past:
        """The readings of every window that was asked for.

        A reading may have no other value than that of `asked.measure`. What has arrived by now is
        in them, also what came late.
        """


@dataclass(frozen=True, kw_only=True)
class MeasureFamily:
    """Measures that are read together, for `Area(measures=…)`.

    `part` is what a part of an instance is here, such as "endpoint"; "" when it has none. `counts`
    is what `Reading.count` counts, in the plural. What is not `windowed` is as it is now, whatever
    the span. Without `replay` nobody keeps its past.
    """

    measures: tuple[Measure, ...]
    read: ReadMeasures = field(repr=False)
    replay: ReplayMeasures | None = field(default=None, repr=False)
    part: str = ""
    counts: str = ""
    windowed: bool = True


def families_by_measure(families: Sequence[MeasureFamily]) -> dict[str, MeasureFamily]:
    """The family of each measure, by the measure's name. Names must differ."""
    found: dict[str, MeasureFamily] = {}
    for family in families:
        for measure in family.measures:
            if measure.name in found:
                raise ValueError(f"two families declare the measure {measure.name}")
            found[measure.name] = family
    return found
