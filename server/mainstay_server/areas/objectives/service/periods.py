"""Periods: from when a budget is counted, how long it lasts, and when it begins anew."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from mainstay_server.areas.objectives.models import Period
from mainstay_server.kernel.problems import Invalid

_DAYS = {Period.WEEK: 7, Period.FOUR_WEEKS: 28, Period.THIRTY_DAYS: 30}


@dataclass(frozen=True, kw_only=True)
class Span:
    """A period as it stands: `ends_at` is None for one that moves along with time."""

    since: datetime
    length: timedelta
    ends_at: datetime | None


def span_of(period: Period, *, now: datetime) -> Span:
    """The period that a moment lies in."""
    if period is not Period.MONTH:
        length = timedelta(days=_DAYS[period])
        return Span(since=now - length, length=length, ends_at=None)
    since, until = bounds_of(now.astimezone(UTC).date())
    return Span(since=since, length=until - since, ends_at=until)


def bounds_of(day: date) -> tuple[datetime, datetime]:
    """The beginning of the month (UTC) of a day, and that of the next."""
    since = datetime(day.year, day.month, 1, tzinfo=UTC)
    return since, (since + timedelta(days=32)).replace(day=1)


def month_of(text: str, *, now: datetime) -> date:
    """The first day of a month written `2026-10`; of this month for "". Raises `Invalid`."""
    today = now.astimezone(UTC).date().replace(day=1)
    if not text:
        return today
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError:
        raise Invalid("month is written like 2026-10.") from None
    if not date(2000, 1, 1) <= first <= today:
        raise Invalid("month must not lie ahead; the months that have been are kept.")
    return first
