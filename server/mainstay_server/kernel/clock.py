"""The one place that reads the wall clock."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return this moment, aware and in UTC.

    Only doors and runners call it. Everything below them takes `now` as a keyword, so that a test
    can live through a month in a millisecond.
    """
    return datetime.now(UTC)
