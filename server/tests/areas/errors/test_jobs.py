"""What errors do by the clock."""

from datetime import timedelta

from mainstay_server.areas.errors import jobs
from mainstay_server.areas.errors.models import IntakeName, Status
from mainstay_server.areas.errors.service import issues
from mainstay_server.areas.errors.service.issues import Decision
from mainstay_server.contracts.errors import IssueStatusChanged
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import said_events
from sqlalchemy import select

from .conftest import Door, an_event, event_envelope
from .conftest import issues as all_issues


def test_an_issue_ignored_until_a_time_is_reopened_then_and_said_once(door: Door) -> None:
    door.send(event_envelope(an_event()))
    (issue,) = all_issues()
    now = utc_now()
    decision = Decision(status=Status.IGNORED, ignored_until=now + timedelta(hours=1))
    with transaction() as session:
        issues.decide(session, issue.project_id, [issue.id], decision, now=now)

    for minutes in (59, 60, 61):
        with transaction() as session:
            jobs.reopen_due.function(session, now=now + timedelta(minutes=minutes))
        expected = Status.IGNORED if minutes < 60 else Status.UNRESOLVED
        assert [one.status for one in all_issues()] == [expected]

    with reading() as session:
        said = [event for _, event in said_events(session) if isinstance(event, IssueStatusChanged)]
    assert [(event.before, event.after) for event in said] == [
        ("unresolved", "ignored"),
        ("ignored", "unresolved"),
    ]


def test_names_of_intakes_are_forgotten_when_nothing_can_be_left_of_them(door: Door) -> None:
    door.send(event_envelope(an_event()))
    for days, left in ((7, 1), (9, 0)):
        with transaction() as session:
            jobs.forget_intakes.function(session, now=utc_now() + timedelta(days=days))
        with reading() as session:
            assert len(session.scalars(select(IntakeName)).all()) == left


def test_finishing_has_nothing_to_do_where_nothing_crashed(door: Door) -> None:
    door.send(event_envelope(an_event()))
    jobs.finish_crashed.function(now=utc_now() + timedelta(hours=1))

    assert [issue.count for issue in all_issues()] == [1]
