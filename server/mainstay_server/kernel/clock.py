"""Time: the one place that reads the wall clock, the form of it on the wire, others' clocks."""

from datetime import UTC, datetime, timedelta
from typing import Final

TOLERATED_SKEW = timedelta(seconds=5)
LONGEST_AGO = timedelta(days=29)
CLOCKS_DIFFER = timedelta(seconds=60)
"""The clocks of several hosts differ by less than this, and a step back of less is borne."""

# What columns hold that a clock set back would else make wait for as long as it was set back; put
# into `mapped_column(info=…)`. What people chose on the calendar, such as the end of a silence, is
# none of it.
WAITS: Final = {"clock": "waits"}
"""A moment of its own making: when to go on, or since when something has lasted."""
LEASED: Final = {"clock": "leased"}
"""Until when somebody who works on a row holds it."""


def utc_now() -> datetime:
    """Return this moment, aware and in UTC.

    Only doors and runners call it. Everything below them takes `now` as a keyword, so that a test
    can live through a month in a millisecond.
    """
    return datetime.now(UTC)


def rfc3339(value: datetime) -> str:
    """The one form of a time on the wire: UTC, milliseconds, `Z`."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class SenderClock:
    """The clock of somebody who sends what happened lately, by what it said when it was sent.

    A clock that is off by less than five seconds is a clock; by more, its times are moved to ours.
    What then still claims to be older than 29 days or to lie ahead is taken to happen now.
    """

    def __init__(self, sent_at: datetime | None, *, received_at: datetime) -> None:
        self._received_at = received_at
        self._skew = timedelta(0)
        if sent_at is not None:
            skew = received_at - _aware(sent_at)
            if abs(skew) >= TOLERATED_SKEW:
                self._skew = skew

    def ours(self, at: datetime) -> datetime:
        """When it happened by our clock; a time without a zone is in UTC."""
        try:
            moved = _aware(at) + self._skew
        except OverflowError:
            return self._received_at
        lately = self._received_at - LONGEST_AGO < moved <= self._received_at
        return moved if lately else self._received_at


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
