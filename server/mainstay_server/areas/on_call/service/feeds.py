"""Shifts as a calendar that others read (RFC 5545), at a private address."""

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta

import sqlalchemy as sa
from icalendar import Calendar, Event, vCalAddress, vText
from sqlalchemy.orm import Session

from mainstay_server.areas.on_call.models import OnCallFeed, OnCallSchedule
from mainstay_server.contracts.on_call import OnCallFeedMade
from mainstay_server.kernel.credentials import is_well_formed, new_credential
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import say
from mainstay_server.kernel.limits import Rate
from mainstay_server.kernel.limits.charging import charge
from mainstay_server.kernel.networks import network_of
from mainstay_server.kernel.problems import NotFound

from .people import Member, members_of
from .rotations import Shift, shifts_between
from .schedules import MOST_SCHEDULES, list_schedules, plan_of

PREFIX = "mst_cal_"
BEHIND, AHEAD = timedelta(days=30), timedelta(days=180)
MOST_EVENTS = 5000
# Programs read a calendar every few minutes at most. One that is shared has many readers, whose
# networks are those of the services that read for them, so each calendar is counted, and not they.
READS = Rate(60, 60, 60)
GUESSES = Rate(30, 60, 30)
GONE = "There is no such calendar; take its present address from the page of the schedule."


def about_schedule(schedule_id: str) -> str:
    """What a feed of a schedule is about."""
    return f"schedule:{schedule_id}"


def about_person(person_id: str) -> str:
    """What a feed of a person, over all schedules, is about."""
    return f"person:{person_id}"


def find_feed(session: Session, organization_id: str, about: str) -> OnCallFeed | None:
    """The feed that was made, or None."""
    return session.scalar(
        sa.select(OnCallFeed).where(
            OnCallFeed.organization_id == organization_id, OnCallFeed.about == about
        )
    )


def make_feed(session: Session, organization_id: str, about: str, *, now: datetime) -> OnCallFeed:
    """Make the private address of a feed; one that was made before is of no use any more."""
    feed = find_feed(session, organization_id, about)
    if feed is None:
        feed = OnCallFeed(id=new_id(), organization_id=organization_id, about=about)
        session.add(feed)
    feed.key = new_credential(PREFIX)
    feed.key_hash = _hashed(feed.key)
    feed.made_at = now
    session.flush()
    say(session, OnCallFeedMade(organization_id=organization_id, about=about), now=now)
    return feed


def path_of(feed: OnCallFeed) -> str:
    """The path of a feed; whoever has it can read the shifts."""
    return f"/on-call/feeds/{feed.key}.ics"


def written(session: Session, key: str, *, address: str, now: datetime) -> bytes:
    """The calendar behind the key of a feed: 30 days back, 180 ahead.

    Raises:
        NotFound: there is no such feed, its schedule was removed, or the person left.
        QuotaExceeded: the calendar was read over 60 times in a minute, or addresses that do not
            exist were tried over 30 times from one network.
    """
    feed = None
    if is_well_formed(key, PREFIX):
        feed = session.scalar(sa.select(OnCallFeed).where(OnCallFeed.key_hash == _hashed(key)))
    if feed is None:
        charge("calendar-guesses", network_of(address), GUESSES, now=now)
        raise NotFound(GONE)
    charge("calendar-reads", feed.id, READS, now=now)
    members = members_of(session, feed.organization_id)
    kind, _, id_ = feed.about.partition(":")
    if kind == "person":
        if id_ not in members:
            raise NotFound(GONE)
        schedules = list(list_schedules(session, feed.organization_id, limit=MOST_SCHEDULES).items)
        title = f"On call: {members[id_].name}"
    else:
        found = session.get(OnCallSchedule, id_)
        if found is None or found.organization_id != feed.organization_id:
            raise NotFound(GONE)
        schedules, title = [found], f"On call: {found.name}"
    calendar = _calendar(title)
    _fill(
        calendar, _told(session, schedules, only=id_ if kind == "person" else "", now=now), members
    )
    text: bytes = calendar.to_ical()
    return text


def _told(
    session: Session, schedules: Iterable[OnCallSchedule], *, only: str, now: datetime
) -> list[tuple[OnCallSchedule, Shift]]:
    found = [
        (schedule, shift)
        for schedule in schedules
        for shift in shifts_between(plan_of(session, schedule), now - BEHIND, now + AHEAD)
        if shift.person_id and only in ("", shift.person_id)
    ]
    return found[:MOST_EVENTS]


def _calendar(title: str) -> Calendar:
    calendar = Calendar()
    calendar.add("prodid", "-//Mainstay//On call//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", title)
    calendar.add("refresh-interval", timedelta(hours=1), parameters={"VALUE": "DURATION"})
    return calendar


def _fill(
    calendar: Calendar, told: Iterable[tuple[OnCallSchedule, Shift]], members: dict[str, Member]
) -> None:
    for schedule, shift in told:
        member = members.get(shift.person_id)
        if member is None:
            continue
        event = Event()
        event.add("uid", f"{schedule.id}-{shift.started_at:%Y%m%dT%H%M%S}@mainstay")
        event.add("dtstamp", schedule.changed_at)
        event.add("dtstart", shift.started_at)
        event.add("dtend", shift.ended_at)
        event.add("summary", f"{member.name} is on call: {schedule.name}")
        attendee = vCalAddress(f"mailto:{member.email}")
        attendee.params["CN"] = vText(member.name)
        event.add("attendee", attendee, encode=False)
        event.add("transp", "TRANSPARENT")
        calendar.add_component(event)


def _hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
