"""The turn that notices silence, and the note that doors are open."""

from mainstay_server.areas.heartbeats.jobs import mark_overdue_heartbeats
from mainstay_server.areas.heartbeats.models import Signal
from mainstay_server.areas.heartbeats.service import overdue
from mainstay_server.contracts.heartbeats import HeartbeatMoved, HeartbeatWentDown
from sqlalchemy.orm import Session
from tests.areas.heartbeats.worlds import HOUR, MINUTE, NOON, SECOND, a_heartbeat, note_open, report
from tests.conftest import Said


def test_a_turn_marks_who_is_overdue(session: Session, said: Said) -> None:
    beat = a_heartbeat(session)
    report(session, beat)
    note_open(session, at=NOON + 2 * HOUR)
    said()

    mark_overdue_heartbeats.function(session, now=NOON + 2 * HOUR)

    assert [type(event) for event in said()] == [HeartbeatWentDown]


def test_a_turn_tells_what_has_lasted_long_enough(session: Session, said: Said) -> None:
    beat = a_heartbeat(session, tell_after_seconds=300)
    report(session, beat)
    report(session, beat, Signal.FAIL, at=NOON + MINUTE)
    assert [event for event in said() if isinstance(event, HeartbeatMoved)] == []

    mark_overdue_heartbeats.function(session, now=NOON + 6 * MINUTE)

    assert [type(event) for event in said()] == [HeartbeatWentDown]


def test_doors_that_stay_open_forgive_nobody(session: Session) -> None:
    report(session, a_heartbeat(session))
    note_open(session, at=NOON + 2 * HOUR)

    assert overdue.note_doors_open(session, now=NOON + 2 * HOUR + 2 * SECOND) == 0
