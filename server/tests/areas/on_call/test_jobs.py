from datetime import timedelta

import pytest
from mainstay_server.areas.on_call import jobs
from mainstay_server.areas.on_call.service import calendars, escalating, schedules
from mainstay_server.areas.on_call.service.people import Hand
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.jobs import install_jobs, run_due
from mainstay_server.kernel.jobs.set_back import bring_back
from tests.databases import on_both_stores
from tests.servers.http import Answer, HttpReceiver

from .worlds import DAY, HOUR, MINUTE, NOON, Night, a_layer, a_policy, a_schedule, tells

ICS = """BEGIN:VCALENDAR
VERSION:2.0
BEGIN:VEVENT
UID:1
DTSTART:20261126T100000Z
DTEND:20261126T180000Z
SUMMARY:ben@ships.example is on duty
END:VEVENT
END:VCALENDAR
"""


def on_call(night: Night, schedule_id: str) -> str:
    with reading() as session:
        found = schedules.get_schedule(session, night.instance.organization_id, schedule_id)
        return schedules.find_person_on_call(session, found, at=night.now)


def test_a_step_that_is_due_is_taken_once_by_the_job(night: Night) -> None:
    with transaction() as session:
        steps = [tells(night.anna), tells(night.ben)]
        a_policy(session, night.instance.organization_id, *steps)
    night.opens()
    night.now += timedelta(minutes=5)
    for _ in range(3):
        with transaction() as session:
            jobs.advance_escalations.function(session, now=night.now)
    night.deliver()
    assert night.counts() == (1, 1, 0)


def test_a_calendar_is_fetched_read_and_kept_when_its_server_is_away(
    night: Night, http_receiver: HttpReceiver
) -> None:
    http_receiver.answer_at("/team.ics", Answer(body=ICS.encode()))
    with transaction() as session:
        schedule = a_schedule(session, night.instance.organization_id, a_layer(night.anna.id))
        url = f"{http_receiver.url}/team.ics"
        calendars.add_calendar(session, schedule, name="Team", url=url, text="", now=NOON)
    assert on_call(night, schedule.id) == night.anna.id
    jobs.read_calendars.function(now=NOON)
    assert on_call(night, schedule.id) == night.ben.id
    asked = len(http_receiver.requests)
    jobs.read_calendars.function(now=NOON + timedelta(minutes=14))
    assert len(http_receiver.requests) == asked

    http_receiver.answer_at("/team.ics", Answer(status=500))
    jobs.read_calendars.function(now=NOON + HOUR)
    with reading() as session:
        (kept,) = calendars.list_calendars(session, schedule).items
    assert kept.last_error == "The calendar's server answered 500."
    assert kept.failed_at == NOON + HOUR
    assert on_call(night, schedule.id) == night.ben.id


def test_a_calendar_that_is_too_large_or_none_at_all_says_so(
    night: Night, http_receiver: HttpReceiver
) -> None:
    http_receiver.answer_at("/large.ics", Answer(body=b"x" * 600_000))
    http_receiver.answer_at("/page.ics", Answer(body=b"<html>sign in</html>"))
    with transaction() as session:
        schedule = a_schedule(session, night.instance.organization_id)
        for name in ("large", "page"):
            url = f"{http_receiver.url}/{name}.ics"
            calendars.add_calendar(session, schedule, name=name, url=url, text="", now=NOON)
    jobs.read_calendars.function(now=NOON)
    with reading() as session:
        large, page = calendars.list_calendars(session, schedule).items
    assert large.last_error
    assert page.last_error == "That is no calendar: it has no line BEGIN:VCALENDAR."


def test_a_calendar_that_breaks_the_reading_is_put_off_and_stops_no_other(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError

    with transaction() as session:
        schedule = a_schedule(session, night.instance.organization_id)
        for name in ("one", "other"):
            calendars.add_calendar(session, schedule, name=name, url="", text=ICS, now=NOON)
    monkeypatch.setattr(calendars, "read_calendar", broken)
    later = NOON + DAY
    for _ in range(2):
        with pytest.raises(RuntimeError):
            jobs.read_calendars.function(now=later)
    assert calendars.read_due(now=later) == 0


def test_what_ended_long_ago_is_forgotten(night: Night) -> None:
    with transaction() as session:
        a_policy(session, night.instance.organization_id, tells(night.anna))
    night.opens()
    night.resolves()
    for days, left in ((400, 1), (401, 0)):
        with transaction() as session:
            jobs.forget_old_escalations.function(session, now=NOON + days * DAY)
            assert (
                len(
                    session.connection().exec_driver_sql("SELECT id FROM on_call_escalations").all()
                )
                == left
            )


@pytest.mark.parametrize("taken_for", [0, 30])
@on_both_stores
def test_an_escalation_goes_on_when_planned_though_the_clock_was_set_back(
    night: Night, taken_for: int
) -> None:
    with transaction() as session:
        steps = [tells(night.anna, wait=30), tells(night.ben, wait=30)]
        organization_id = night.instance.organization_id
        a_policy(session, organization_id, *steps, acknowledge_timeout_minutes=taken_for)
    night.opens()
    if taken_for:
        with transaction() as session:
            (found,) = escalating.list_escalations(session, organization_id).items
            hand = Hand(person_id=night.anna.id, name="Anna", how="on its page")
            assert escalating.acknowledge(session, found, hand, now=night.now)
    install_jobs([jobs.advance_escalations])
    run_due(now=night.now)
    night.later(10 * MINUTE)
    run_due(now=night.now)

    night.now -= HOUR
    with transaction() as session:
        known = {jobs.advance_escalations.name: jobs.advance_escalations}
        moved = bring_back(session, known, now=night.now)
    assert moved == HOUR
    night.later(19 * MINUTE)
    assert night.counts() == (1, 0, 0)
    night.later(MINUTE)
    assert night.counts() == (1, 1, 0), "thirty minutes after the first"
    night.later(2 * HOUR)
    assert night.counts() == (1, 1, 0), "nobody is woken a second time"
    install_jobs(())
