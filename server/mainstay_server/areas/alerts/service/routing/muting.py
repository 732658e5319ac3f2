"""Times at which something is quiet: until an instant, and week after week on a clock somewhere.

`Mon-Fri 18:00-08:00, Sat-Sun` is quiet on working nights and on weekends. A span that ends before
it begins reaches into the next day. Times are those on the wall of the time zone: on the day that a
clock is put forward or back a span is an hour shorter or longer, as whoever lives there expects.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mainstay_server.kernel.problems import Invalid

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WHOLE_DAY = 24 * 60
MOST_SPANS = 20
LONGEST_TIMES = 500
LONGEST_ZONE = 64
EXAMPLE = "Mon-Fri 18:00-08:00, Sat-Sun"
SPAN = re.compile(
    r"(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))?"
    r"(?:\s+(?P<from>\d{1,2}:\d\d)-(?P<to>\d{1,2}:\d\d))?"
)


@dataclass(frozen=True)
class WeeklySpan:
    """Days of the week (0 is Monday), and minutes of the day from and up to but without `ends`."""

    days: frozenset[int]
    begins: int
    ends: int

    def holds(self, weekday: int, minute: int) -> bool:
        """Whether a wall clock that shows this is within."""
        if self.begins < self.ends:
            return weekday in self.days and self.begins <= minute < self.ends
        if weekday in self.days and minute >= self.begins:
            return True
        return (weekday - 1) % 7 in self.days and minute < self.ends


@dataclass(frozen=True, kw_only=True)
class Quiet:
    """When something is quiet: until an instant, and within spans of the week."""

    until: datetime | None = None
    times: str = ""
    zone: str = "UTC"

    def why(self, now: datetime) -> str:
        """Why it is quiet now, as a piece of a sentence; empty when it is not."""
        if self.until is not None and now < self.until:
            return f"muted until {self.until:%-d %b %Y, %H:%M} UTC"
        if self.times and is_within(self.times, self.zone, now):
            return f"muted {self.times} ({self.zone})"
        return ""


def is_within(times: str, zone: str, now: datetime) -> bool:
    """Whether an instant lies in one of the spans."""
    local = now.astimezone(zone_of(zone))
    minute = local.hour * 60 + local.minute
    return any(span.holds(local.weekday(), minute) for span in spans_of(times))


@lru_cache(maxsize=1_000)
def spans_of(times: str) -> tuple[WeeklySpan, ...]:
    """The spans of a text; of an empty one none. Raises `Invalid`, saying how to write it."""
    if len(times) > LONGEST_TIMES:
        raise _invalid(f"has at most {LONGEST_TIMES} characters")
    pieces = [piece.strip().lower() for piece in times.split(",") if piece.strip()]
    if len(pieces) > MOST_SPANS:
        raise _invalid(f"has at most {MOST_SPANS} spans")
    return tuple(_span(piece) for piece in pieces)


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its IANA name. Raises `Invalid`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid.of_field(
            "timeZone",
            f"There is no time zone {name[:LONGEST_ZONE]!r}; write one as Europe/Berlin.",
        ) from None


def _span(piece: str) -> WeeklySpan:
    found = SPAN.fullmatch(piece)
    if found is None:
        raise _invalid(f"cannot be read at {piece[:40]!r}")
    first, last = _day(found["first"]), _day(found["last"] or found["first"])
    days = frozenset((first + step) % 7 for step in range((last - first) % 7 + 1))
    if found["from"] is None:
        return WeeklySpan(days, 0, WHOLE_DAY)
    begins, ends = _minutes(found["from"]), _minutes(found["to"])
    if begins in (ends, WHOLE_DAY):
        raise _invalid(f"has a span that begins where it ends: {piece!r}; leave the times out")
    return WeeklySpan(days, begins, ends)


def _day(word: str) -> int:
    if word not in DAYS:
        raise _invalid(f"names no day with {word!r}")
    return DAYS.index(word)


def _minutes(text: str) -> int:
    hours, minutes = (int(part) for part in text.split(":"))
    total = 60 * hours + minutes
    if minutes >= 60 or total > WHOLE_DAY:  # noqa: PLR2004 - minutes of an hour
        raise _invalid(f"has no time {text}")
    return total


def _invalid(what: str) -> Invalid:
    return Invalid.of_field("muteTimes", f"muteTimes {what}; write it as {EXAMPLE}.")
