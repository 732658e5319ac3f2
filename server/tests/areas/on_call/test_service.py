"""Policies, schedules and calendars as the rules of the area keep them."""

import re
from calendar import isleap
from datetime import MAXYEAR, date
from time import process_time
from types import SimpleNamespace
from typing import Any

import pytest
from icalendar import Calendar
from mainstay_server.areas.on_call.service import feeds, policies, reading, schedules
from mainstay_server.areas.on_call.service.people import Member
from mainstay_server.areas.on_call.service.reading import Read, _years_later, read_calendar
from mainstay_server.kernel.credentials import new_credential
from mainstay_server.kernel.problems import Invalid, NotFound
from sqlalchemy.orm import Session
from tests.conftest import Said
from tests.world import a_project

from .worlds import DAY, HOUR, NOON, a_layer, a_member, a_policy, a_schedule, at, tells

HERE = "203.0.113.9"
EVENT = """BEGIN:VEVENT
UID:{uid}
DTSTAMP:20261101T000000Z
{lines}
END:VEVENT
"""


ZONE = """BEGIN:VTIMEZONE
TZID:Ship
BEGIN:STANDARD
DTSTART:20200101T000000
TZOFFSETFROM:+0200
TZOFFSETTO:+0200
RRULE:{rule}
END:STANDARD
END:VTIMEZONE
"""


def calendar(year: int) -> tuple[bool, int]:
    return isleap(year), date(year, 1, 1).weekday()


def a_calendar(*events: str) -> str:
    body = "".join(EVENT.format(uid=number, lines=lines) for number, lines in enumerate(events))
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//x//y//EN\n{body}END:VCALENDAR\n"


def read(
    session: Session, text: str, *, zone: str = "UTC", days: int = 60
) -> list[tuple[str, ...]]:
    """Who, from, to (UTC) of what a calendar says from noon on; Anna and Ben are members."""
    return told(everything(session, text, zone=zone, days=days))


def everything(session: Session, text: str, *, zone: str = "UTC", days: int = 60) -> Read:
    organization_id = a_project(session, now=NOON).organization_id
    members = [a_member(session, organization_id, name) for name in ("Anna", "Ben", "Annabel Lee")]
    span = (NOON - DAY, NOON + days * DAY)
    return read_calendar(text, members, time_zone=zone, span=span)


def told(found: Read) -> list[tuple[str, ...]]:
    return [
        (f"{each.started_at:%m-%d %H:%M}", f"{each.ended_at:%m-%d %H:%M}") for each in found.shifts
    ]


@pytest.mark.parametrize(
    ("lines", "matched"),
    [
        ("ATTENDEE;CN=Anna:mailto:ANNA@ships.example\nSUMMARY:duty", 1),
        ("ATTENDEE:mailto:x@elsewhere.example\nATTENDEE:mailto:anna@ships.example", 1),
        ("SUMMARY:On call: anna@ships.example", 1),
        ("SUMMARY:Anna has the pager", 1),
        ("SUMMARY:Annabella has the pager", 0),
        ("SUMMARY:somebody\\, anybody", 0),
        ("STATUS:CANCELLED\nSUMMARY:Anna", 0),
    ],
)
def test_an_event_is_a_members_by_address_or_whole_name(
    session: Session, lines: str, matched: int
) -> None:
    when = "DTSTART:20261127T090000Z\nDTEND:20261127T170000Z\n"
    found = everything(session, a_calendar(when + lines))
    assert len(found.shifts) == matched
    assert found.unmatched == (0 if matched or "CANCELLED" in lines else 1)


def test_names_that_stand_nowhere_in_a_calendar_are_not_looked_for_in_each_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked = 0

    def search(*given: Any) -> re.Match[str] | None:
        nonlocal looked
        looked += 1
        return re.compile(given[0]).search(given[1])

    monkeypatch.setattr(reading, "re", SimpleNamespace(search=search, escape=re.escape))
    members = [Member(id=str(n), name=f"Member {n}", email=f"{n}@a.example") for n in range(300)]
    when = "DTSTART:20261127T090000Z\nDTEND:20261127T170000Z\nSUMMARY:"
    text = a_calendar(*[f"{when}the pager"] * 300, f"{when}Member 7")
    found = read_calendar(text, members, time_zone="UTC", span=(NOON - DAY, NOON + 9 * DAY))
    assert ([each.person_id for each in found.shifts], found.unmatched) == (["7"], 300)
    assert looked <= len(members), "of 90,000 pairs"


def test_times_are_read_in_their_zone_and_without_one_in_the_schedules(session: Session) -> None:
    who = "\nSUMMARY:anna@ships.example"
    text = a_calendar(
        f"DTSTART;TZID=America/New_York:20261127T090000\nDURATION:PT8H{who}",
        f"DTSTART:20261128T090000\nDTEND:20261128T170000{who}",
        f"DTSTART;VALUE=DATE:20261129\nDTEND;VALUE=DATE:20261130{who}",
        f"DTSTART;VALUE=DATE:20261201{who}",
    )
    assert read(session, text, zone="Europe/Berlin") == [
        ("11-27 14:00", "11-27 22:00"),
        ("11-28 08:00", "11-28 16:00"),
        ("11-28 23:00", "11-29 23:00"),
        ("11-30 23:00", "12-01 23:00"),
    ]


def test_a_series_follows_clocks_leaves_out_what_it_excepts_and_moves_what_was_moved(
    session: Session,
) -> None:
    text = a_calendar(
        "DTSTART;TZID=Europe/Berlin:20261023T090000\nDTEND;TZID=Europe/Berlin:20261023T170000\n"
        "RRULE:FREQ=WEEKLY;UNTIL=20261218T080000Z\nEXDATE;TZID=Europe/Berlin:20261204T090000\n"
        "SUMMARY:anna@ships.example",
    ).replace(
        "END:VCALENDAR",
        EVENT.format(
            uid=0,
            lines="RECURRENCE-ID;TZID=Europe/Berlin:20261211T090000\n"
            "DTSTART;TZID=Europe/Berlin:20261212T100000\nDURATION:PT1H\nSUMMARY:anna@ships.example",
        )
        + "END:VCALENDAR",
    )
    assert read(session, text) == [
        ("11-27 08:00", "11-27 16:00"),
        ("12-12 09:00", "12-12 10:00"),
        ("12-18 08:00", "12-18 16:00"),
    ]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=SECONDLY",
        "FREQ=MINUTELY",
        "FREQ=HOURLY",
        "FREQ=DAILY;BYHOUR=0,1,2;BYMINUTE=0,1,2",
        "FREQ=NEVER",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=WEEKLY;INTERVAL=-1",
        "FREQ=DAILY;BYSETPOS=" + ",".join(["9"] * 200),
        "nonsense",
    ],
)
def test_rules_that_nobody_keeps_are_counted_and_not_worked_out(
    session: Session, rule: str
) -> None:
    lines = f"DTSTART:20261127T090000Z\nDURATION:PT1H\nRRULE:{rule}\nSUMMARY:Anna"
    try:
        found = everything(session, a_calendar(lines))
    except Invalid:
        return
    assert found.shifts == []


def test_a_rule_that_never_comes_ends_and_many_days_are_cut(session: Session) -> None:
    hour = "DTSTART:20261127T090000Z\nDURATION:PT1H\nSUMMARY:Anna\n"
    never = f"{hour}RRULE:FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30"
    daily = "DTSTART:20200101T090000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY\nSUMMARY:Anna"
    assert len(read(session, a_calendar(never, daily))) == 61


@pytest.mark.parametrize(("first", "last"), [(2016, 2027), (2095, 2105), (2026, 2026)])
def test_rules_are_worked_out_in_the_last_years_that_have_the_same_calendars(
    first: int, last: int
) -> None:
    later = _years_later(first, last)
    assert [calendar(year) for year in range(first, last + 1)] == [
        calendar(year + later) for year in range(first, last + 1)
    ]
    assert MAXYEAR - 400 < last + later < MAXYEAR
    if last < 2090:
        assert last + later > MAXYEAR - 45


def test_a_rule_is_walked_through_for_some_years_and_not_to_the_end_of_time(
    session: Session,
) -> None:
    hour = "DTSTART:20261127T090000Z\nDURATION:PT1H\nSUMMARY:Anna\n"
    never = f"{hour}RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"
    began = process_time()
    assert read(session, a_calendar(*[never] * 20)) == []
    assert process_time() - began < 15  # to the year 9999 it takes minutes


def test_events_at_the_ends_of_time_are_counted_and_the_others_read(session: Session) -> None:
    text = a_calendar(
        "DTSTART;VALUE=DATE:99991231\nSUMMARY:Anna",
        "DTSTART;TZID=Asia/Tokyo:00010101T000000\nDURATION:PT1H\nSUMMARY:Anna",
        "DTSTART:20261127T090000Z\nDURATION:P2900000D\nRRULE:FREQ=DAILY\nSUMMARY:Anna",
        "DTSTART:20261127T090000Z\nDURATION:PT1H\nSUMMARY:Anna",
    )
    found = everything(session, text)
    assert told(found) == [("11-27 09:00", "11-27 10:00")]
    assert found.unmatched == 3


@pytest.mark.parametrize(
    "rule", ["FREQ=YEARLY;INTERVAL=0", "FREQ=SECONDLY", "FREQ=YEARLY;BYMONTH=3;INTERVAL=\n 0"]
)
def test_a_time_zone_whose_rule_never_ends_is_refused(session: Session, rule: str) -> None:
    zone = ZONE.format(rule=rule)
    text = a_calendar("DTSTART;TZID=Ship:20261127T090000\nDURATION:PT1H\nSUMMARY:Anna")
    with pytest.raises(Invalid, match="time zones"):
        everything(session, text.replace("BEGIN:VEVENT", f"{zone}BEGIN:VEVENT", 1))


def test_a_calendar_may_bring_a_zone_of_its_own(session: Session) -> None:
    zone = ZONE.format(rule="FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU")
    text = a_calendar("DTSTART;TZID=Ship:20261127T090000\nDURATION:PT1H\nSUMMARY:Anna")
    found = read(session, text.replace("BEGIN:VEVENT", f"{zone}BEGIN:VEVENT", 1))
    assert found == [("11-27 07:00", "11-27 08:00")]


@pytest.mark.parametrize(
    "text",
    ["", "<html></html>", "BEGIN:VCALENDAR", "BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR",
     "BEGIN:VCALENDAR\n" + "x" * 600_000, "BEGIN:VCALENDAR\n" + "BEGIN:VEVENT\n" * 3000],
)  # fmt: skip
def test_what_is_no_calendar_is_refused(session: Session, text: str) -> None:
    with pytest.raises(Invalid):
        everything(session, text)


def test_what_others_read_of_a_schedule_is_what_we_read_of_it_again(session: Session) -> None:
    instance = a_project(session, now=NOON)
    anna = a_member(session, instance.organization_id, "Anna")
    ben = a_member(session, instance.organization_id, "Ben")
    primary = a_schedule(
        session,
        instance.organization_id,
        a_layer(anna.id, ben.id, days=["MO", "SU"]),
        time_zone="Europe/Berlin",
    )
    about = feeds.about_schedule(primary.id)
    feed = feeds.make_feed(session, instance.organization_id, about, now=NOON)
    text = feeds.written(session, feed.key, address=HERE, now=NOON)
    calendar = Calendar.from_ical(text)
    assert calendar["X-WR-CALNAME"] == "On call: Primary"
    span = (NOON, NOON + 90 * DAY)
    again = read_calendar(text.decode(), [anna, ben], time_zone="UTC", span=span)
    own = schedules.list_shifts(session, primary, since=span[0], until=span[1])
    assert [(one.person_id, one.started_at) for one in again.shifts] == [
        (one.person_id, one.started_at) for one in own if one.person_id
    ]

    mine = feeds.make_feed(session, instance.organization_id, feeds.about_person(ben.id), now=NOON)
    own_text = feeds.written(session, mine.key, address=HERE, now=NOON).decode()
    assert "ben@ships.example" in own_text
    assert "anna@ships.example" not in own_text


def test_an_address_that_was_made_anew_or_was_never_made_reads_nothing(session: Session) -> None:
    instance = a_project(session, now=NOON)
    primary = a_schedule(session, instance.organization_id)
    about = feeds.about_schedule(primary.id)
    old = feeds.make_feed(session, instance.organization_id, about, now=NOON).key
    feeds.make_feed(session, instance.organization_id, about, now=NOON)
    for key in (old, "mst_cal_", "x", new_credential(feeds.PREFIX)):
        with pytest.raises(NotFound):
            feeds.written(session, key, address=HERE, now=NOON)


@pytest.mark.parametrize(
    ("severity", "policy"),
    [("critical", "urgent"), ("high", "mine"), ("warning", "mine"), ("medium", "mine"),
     ("low", "everything"), ("info", None), ("strange", "urgent")],
)  # fmt: skip
def test_the_nearest_policy_holds_whose_least_severity_is_reached(
    session: Session, severity: str, policy: str | None
) -> None:
    instance = a_project(session, now=NOON)
    organization_id = instance.organization_id
    anna = tells(a_member(session, organization_id, "Anna"))
    a_policy(session, organization_id, anna, name="everything", minimum_severity="low")
    mine = {"project_id": instance.project_id, "minimum_severity": "warning"}
    a_policy(session, organization_id, anna, name="mine", **mine)
    nearest = {"instance_id": instance.id, "minimum_severity": "critical"}
    a_policy(session, organization_id, anna, name="urgent", **nearest)
    a_policy(session, organization_id, anna, name="off", **nearest, enabled=False)
    found = policies.find_policy_for(
        session, organization_id, instance.project_id, instance.id, severity=severity
    )
    assert (found.name if found else None) == policy


@pytest.mark.parametrize(
    "values",
    [
        {"time_zone": "Mars/Base"},
        {"time_zone": "../../etc/passwd"},
        {"name": "  "},
        {"layers": [a_layer("stranger").model_dump()]},
    ],
)
def test_a_schedule_that_cannot_be_is_refused(session: Session, values: dict[str, Any]) -> None:
    instance = a_project(session, now=NOON)
    with pytest.raises(Invalid):
        a_schedule(session, instance.organization_id, **values)


def test_changes_of_a_schedule_are_said_with_what_they_were(session: Session, said: Said) -> None:
    instance = a_project(session, now=NOON)
    primary = a_schedule(session, instance.organization_id)
    schedules.change_schedule(session, primary, {"name": "First"}, now=NOON)
    schedules.change_schedule(session, primary, {"name": "First"}, now=NOON)
    schedules.remove_schedule(session, primary, now=NOON)
    names = [type(event).__name__ for event in said()]
    assert names == ["OnCallScheduleCreated", "OnCallScheduleChanged", "OnCallScheduleRemoved"]


def test_who_is_on_call_is_told_for_each_schedule_with_its_end(session: Session) -> None:
    instance = a_project(session, now=NOON)
    anna = a_member(session, instance.organization_id, "Anna")
    a_schedule(session, instance.organization_id, a_layer(anna.id), name="A")
    a_schedule(session, instance.organization_id, name="B")
    first, second = schedules.who_is_on_call(session, instance.organization_id, at=NOON)
    assert (first.schedule, first.name) == ("A", "Anna")
    assert (second.person_id, second.name) == ("", "")
    assert first.until > NOON + HOUR
    assert at("2026-11-26 12:00") == NOON
