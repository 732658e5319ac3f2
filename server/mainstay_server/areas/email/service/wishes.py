"""Which reports a person wants, and when the next one is due on the clock of their time zone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.email.models import Period, ReportWish
from mainstay_server.contracts.email import EmailReportsChosen
from mainstay_server.kernel.database import insert, new_id
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.problems import Invalid
from mainstay_server.tenancy.callers import Caller

DEFAULT_HOUR = 8
FACTS = ("time_zone", "hour", "weekday", "weekly_due_at", "monthly_due_at")
DAYS_OF_A_WEEK = 7


@dataclass(frozen=True, kw_only=True)
class Span:
    """A period as its person's calendar has it: from its first day to before the day after it."""

    begins_on: date
    ends_before: date
    time_zone: str

    @property
    def since(self) -> datetime:
        """When it begins: midnight of the first day in the time zone."""
        return _at(self.begins_on, 0, self.time_zone)

    @property
    def until(self) -> datetime:
        """When it is over."""
        return _at(self.ends_before, 0, self.time_zone)


def find_wish(session: Session, organization_id: str, person_id: str) -> ReportWish:
    """What a person wants; a row that is not stored, of nothing wanted, where they never said."""
    found = session.scalar(_wish_of(organization_id, person_id))
    return found or ReportWish(
        organization_id=organization_id,
        person_id=person_id,
        time_zone="UTC",
        hour=DEFAULT_HOUR,
        weekday=0,
        weekly_due_at=None,
        monthly_due_at=None,
    )


def choose(
    session: Session, caller: Caller, wanted: Mapping[str, Any], *, now: datetime
) -> ReportWish:
    """Say which reports the caller is sent, and when; what is None stays.

    The next report is the first that is due from now on: of what was before nobody is told late.

    Raises:
        Invalid: a time zone, hour or weekday that there is not.
    """
    chosen = {name: value for name, value in wanted.items() if value is not None}
    session.execute(
        insert(ReportWish)
        .values(
            id=new_id(),
            organization_id=caller.organization_id,
            person_id=caller.person_id,
            time_zone="UTC",
            hour=DEFAULT_HOUR,
            weekday=0,
        )
        .on_conflict_do_nothing()
    )
    wish = session.scalars(
        _wish_of(caller.organization_id, caller.person_id).with_for_update()
    ).one()
    before = facts_of(wish, FACTS)
    wish.time_zone = checked_zone(str(chosen.get("time_zone", wish.time_zone)))
    wish.hour = _within(int(chosen.get("hour", wish.hour)), 23, "hour")
    wish.weekday = _within(int(chosen.get("weekday", wish.weekday)), 6, "weekday")
    weekly = bool(chosen.get("weekly", wish.weekly_due_at is not None))
    monthly = bool(chosen.get("monthly", wish.monthly_due_at is not None))
    wish.weekly_due_at = next_due(wish, Period.WEEKLY, after=now) if weekly else None
    wish.monthly_due_at = next_due(wish, Period.MONTHLY, after=now) if monthly else None
    session.flush()
    say(
        session,
        EmailReportsChosen(
            organization_id=caller.organization_id,
            person_id=caller.person_id,
            email=caller.person_email,
            changes=changes_between(before, facts_of(wish, FACTS)),
        ),
        now=now,
    )
    return wish


def end_wish(session: Session, organization_id: str, person_id: str, period: Period) -> None:
    """Send a person no more reports of a kind; a no-op when they get none."""
    column = "weekly_due_at" if period is Period.WEEKLY else "monthly_due_at"
    session.execute(
        sa.update(ReportWish)
        .where(ReportWish.organization_id == organization_id, ReportWish.person_id == person_id)
        .values({column: None})
    )


def next_due(wish: ReportWish, period: Period, *, after: datetime) -> datetime:
    """The first moment later than `after` at which a report is due, in UTC.

    An hour that the clocks skip is told when they have skipped it; one that they show twice, at its
    first time. Each date comes once, so each report does.
    """
    today = after.astimezone(ZoneInfo(wish.time_zone)).date()
    day = _first_day(today, wish.weekday, period)
    while (due := _at(day, wish.hour, wish.time_zone)) <= after:
        day = _following(day, period)
    return due


def span_due(wish: ReportWish, period: Period, *, due_at: datetime) -> Span:
    """The period that a report is about which is due at a moment: the last that was over."""
    day = due_at.astimezone(ZoneInfo(wish.time_zone)).date()
    if period is Period.WEEKLY:
        ends = day - timedelta(days=day.weekday())
        begins = ends - timedelta(days=DAYS_OF_A_WEEK)
    else:
        ends = day.replace(day=1)
        begins = (ends - timedelta(days=1)).replace(day=1)
    return Span(begins_on=begins, ends_before=ends, time_zone=wish.time_zone)


def last_due(wish: ReportWish, period: Period, *, first: datetime, now: datetime) -> datetime:
    """Of the reports that are due by now the last: after a standstill one is sent, not each."""
    due = first
    while (following := next_due(wish, period, after=due)) <= now:
        due = following
    return due


def checked_zone(name: str) -> str:
    """A time zone of the IANA database. Raises `Invalid` for what is none."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid.of_field(
            "timeZone", "timeZone must be one of the IANA database, such as Europe/Berlin."
        ) from None
    return name


def _wish_of(organization_id: str, person_id: str) -> sa.Select[ReportWish]:
    return sa.select(ReportWish).where(
        ReportWish.organization_id == organization_id, ReportWish.person_id == person_id
    )


def _at(day: date, hour: int, zone: str) -> datetime:
    return datetime.combine(day, time(hour), tzinfo=ZoneInfo(zone)).astimezone(UTC)


def _first_day(today: date, weekday: int, period: Period) -> date:
    if period is Period.MONTHLY:
        return today.replace(day=1)
    return today - timedelta(days=today.weekday()) + timedelta(days=weekday)


def _following(day: date, period: Period) -> date:
    if period is Period.WEEKLY:
        return day + timedelta(days=DAYS_OF_A_WEEK)
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def _within(value: int, most: int, name: str) -> int:
    if not 0 <= value <= most:
        raise Invalid.of_field(name, f"{name} must be from 0 to {most}.")
    return value
