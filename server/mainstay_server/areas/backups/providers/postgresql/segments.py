"""Positions in PostgreSQL's log, and the names of the segments that hold them."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

ABOUT = "about.json"
PARTIAL = ".partial"
SEGMENT = re.compile(r"[0-9A-F]{24}")
HISTORY = re.compile(r"[0-9A-F]{8}\.history")
HIGH = 1 << 32


@dataclass(frozen=True)
class Span:
    """A part of the log: from the segment of `start` to `end`, which is not in it."""

    timeline: str
    start: int
    end: int
    segment_bytes: int

    @property
    def first(self) -> int:
        """Where the first segment begins."""
        return self.start - self.start % self.segment_bytes

    @property
    def begins_with(self) -> str:
        """The first segment."""
        return self._name(self.first // self.segment_bytes)

    @property
    def names(self) -> Sequence[str]:
        """All its segments; the last may not be full."""
        last = -(-self.end // self.segment_bytes)
        return [self._name(number) for number in range(self.first // self.segment_bytes, last)]

    def _name(self, number: int) -> str:
        return name_of(self.timeline, number, self.segment_bytes)


def name_of(timeline: str, number: int, segment_bytes: int) -> str:
    """The name of the segment with this number."""
    per_high = HIGH // segment_bytes
    return f"{timeline}{number // per_high:08X}{number % per_high:08X}"


def number_of(name: str, segment_bytes: int) -> int:
    """The number of the segment with this name."""
    return int(name[8:16], 16) * (HIGH // segment_bytes) + int(name[16:24], 16)


def lsn_of(text: str) -> int:
    """A position such as `0/16B3740` as a number."""
    high, _, low = text.partition("/")
    return int(high, 16) * HIGH + int(low, 16)


def text_of(lsn: int) -> str:
    """A position as PostgreSQL writes it."""
    return f"{lsn // HIGH:X}/{lsn % HIGH:X}"


def missing(wanted: Collection[str], there: Collection[str]) -> list[str]:
    """Which of the names are not there."""
    return sorted(set(wanted) - set(there))


def is_segment(name: str) -> bool:
    """Whether it is a whole segment."""
    return SEGMENT.fullmatch(name) is not None


def is_history(name: str) -> bool:
    """Whether it tells which timeline came from which."""
    return HISTORY.fullmatch(name) is not None
