"""What is worth telling: each change once, trouble that lasts, flapping in one word."""

from collections.abc import Iterator

import pytest
from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.kernel.watching import (
    State,
    Tidings,
    Told,
    due_to_tell,
    forget,
    install_windows,
    restate,
    tell,
)
from sqlalchemy.orm import Session
from tests.kernel.watching.worlds import (
    HOUR,
    MINUTE,
    NOON,
    PAUSED,
    SECOND,
    UNKNOWN,
    UNREACHABLE,
    D,
    H,
    Planned,
    U,
    Window,
    a_subject,
    turn,
)


def kinds(told: list[Told]) -> list[Tidings]:
    return [one.tidings for one in told]


@pytest.fixture(autouse=True)
def no_maintenance() -> Iterator[None]:
    install_windows(None)
    yield
    install_windows(None)


def test_an_outage_is_told_once_and_its_end_once(session: Session) -> None:
    down, up = turn(session, a_subject(session), H, U, H, at=NOON)

    assert (down.tidings, down.since, down.reason) == (
        Tidings.WENT_DOWN,
        NOON + MINUTE,
        "it is unhealthy",
    )
    assert (up.tidings, up.since, up.troubled_since) == (
        Tidings.RECOVERED,
        NOON + 2 * MINUTE,
        NOON + MINUTE,
    )


def test_what_is_well_from_the_start_is_not_talked_about(session: Session) -> None:
    assert turn(session, a_subject(session), H, at=NOON) == []


@pytest.mark.parametrize("gap", [UNKNOWN, UNREACHABLE])
def test_time_without_knowledge_is_no_change(session: Session, gap: State) -> None:
    told = turn(session, a_subject(session), H, gap, H, U, gap, U, H, at=NOON)

    assert kinds(told) == [Tidings.WENT_DOWN, Tidings.RECOVERED]


def test_pausing_what_is_in_trouble_is_told_and_what_is_well_is_not(session: Session) -> None:
    subject = a_subject(session)

    told = turn(session, subject, H, PAUSED, UNKNOWN, U, PAUSED, UNKNOWN, U, at=NOON, every=HOUR)

    assert kinds(told) == [Tidings.WENT_DOWN, Tidings.STOPPED, Tidings.WENT_DOWN]


def test_removing_what_is_in_trouble_is_told(session: Session) -> None:
    subject = a_subject(session)
    turn(session, subject, H, U, at=NOON)

    told = forget(session, subject, at=NOON + HOUR, reason="removed")

    assert told is not None
    assert (told.tidings, told.reason) == (Tidings.STOPPED, "removed")
    assert session.get(HealthCheck, subject.id) is None


def test_trouble_is_told_once_it_has_lasted_however_it_varied(session: Session) -> None:
    subject = a_subject(session, tell_after_seconds=3 * 3600)

    # An hour of trouble, then trouble from three hours after noon on.
    assert turn(session, subject, H, U, H, D, U, at=NOON, every=HOUR) == []
    assert due_to_tell(session, HealthCheck, now=NOON + 5 * HOUR) == []
    assert due_to_tell(session, HealthCheck, now=NOON + 6 * HOUR) == [subject]
    told = tell(session, subject, now=NOON + 6 * HOUR)

    assert told is not None
    assert told.tidings == Tidings.WENT_DOWN
    assert subject.troubled_since == NOON + 3 * HOUR
    assert tell(session, subject, now=NOON + 7 * HOUR) is None


def test_flapping_that_does_not_last_is_not_told_where_trouble_has_to(session: Session) -> None:
    subject = a_subject(session, tell_after_seconds=5 * 60)

    assert turn(session, subject, H, U, H, U, H, at=NOON) == []
    assert tell(session, subject, now=NOON + 7 * MINUTE) is None
    told = tell(session, subject, now=NOON + 8 * MINUTE)

    assert told is not None
    assert told.tidings == Tidings.FLAPPING


def test_health_is_told_at_once_whatever_trouble_has_to_last(session: Session) -> None:
    subject = a_subject(session, tell_after_seconds=60)
    turn(session, subject, H, U, at=NOON)
    tell(session, subject, now=NOON + 3 * MINUTE)

    assert kinds(turn(session, subject, H, at=NOON + 3 * MINUTE + SECOND)) == [Tidings.RECOVERED]


def test_a_flapper_is_told_of_twice_however_long_it_flaps(session: Session) -> None:
    subject = a_subject(session)

    told = turn(session, subject, H, *([U, H] * 120), at=NOON)  # four hours
    assert kinds(told) == [Tidings.WENT_DOWN, Tidings.RECOVERED, Tidings.FLAPPING]
    last = NOON + 240 * MINUTE
    assert tell(session, subject, now=last + HOUR - SECOND) is None
    assert due_to_tell(session, HealthCheck, now=last + HOUR) == [subject]
    settled = tell(session, subject, now=last + HOUR)

    assert settled is not None
    assert (settled.tidings, settled.state, settled.since) == (Tidings.SETTLED, H, last)
    assert settled.troubled_since == NOON + 3 * MINUTE
    assert subject.flapping_since is None
    assert kinds(turn(session, subject, U, at=last + 2 * HOUR)) == [Tidings.WENT_DOWN]


def test_two_outages_an_hour_apart_from_each_other_are_no_flapping(session: Session) -> None:
    told = turn(session, a_subject(session), H, U, H, U, H, U, H, at=NOON, every=15 * MINUTE)

    assert Tidings.FLAPPING not in kinds(told)


def test_slow_flapping_is_noticed_within_the_hour(session: Session) -> None:
    told = turn(session, a_subject(session), H, U, H, U, H, U, H, U, at=NOON, every=8 * MINUTE)

    assert kinds(told)[4:] == [Tidings.FLAPPING]


def test_from_slow_to_down_and_back_is_no_flapping(session: Session) -> None:
    told = turn(session, a_subject(session), H, D, U, D, H, at=NOON)

    assert kinds(told) == [
        Tidings.DEGRADED,
        Tidings.WENT_DOWN,
        Tidings.DEGRADED,
        Tidings.RECOVERED,
    ]


def test_trouble_in_maintenance_is_told_at_its_end_if_it_outlasts_it(session: Session) -> None:
    install_windows(Planned(Window(started_at=NOON, ended_at=NOON + HOUR)))
    subject = a_subject(session)

    assert turn(session, subject, H, U, at=NOON) == []
    assert tell(session, subject, now=NOON + 59 * MINUTE) is None
    assert due_to_tell(session, HealthCheck, now=NOON + HOUR) == [subject]
    told = tell(session, subject, now=NOON + HOUR)

    assert told is not None
    assert (told.tidings, told.since) == (Tidings.WENT_DOWN, NOON + MINUTE)


def test_maintenance_that_ends_early_holds_nothing_back_any_more(session: Session) -> None:
    install_windows(Planned(Window(started_at=NOON, ended_at=NOON + HOUR)))
    subject = a_subject(session)
    turn(session, subject, H, U, at=NOON)

    install_windows(Planned(Window(started_at=NOON, ended_at=NOON + 90 * SECOND)))

    assert due_to_tell(session, HealthCheck, now=NOON + 2 * MINUTE) == [subject]
    assert tell(session, subject, now=NOON + 2 * MINUTE) is not None


def test_trouble_that_begins_and_ends_in_maintenance_is_never_told(session: Session) -> None:
    install_windows(Planned(Window(started_at=NOON, ended_at=NOON + HOUR)))

    assert turn(session, a_subject(session), H, U, H, at=NOON) == []


@pytest.mark.parametrize("minute", [30, 90])
def test_recovery_is_told_during_and_after_maintenance(session: Session, minute: int) -> None:
    subject = a_subject(session)
    turn(session, subject, H, U, at=NOON)
    install_windows(Planned(Window(started_at=NOON + 10 * MINUTE, ended_at=NOON + HOUR)))

    assert kinds(turn(session, subject, H, at=NOON + minute * MINUTE)) == [Tidings.RECOVERED]


def test_what_turns_out_to_be_unreachable_was_so_from_the_start(session: Session) -> None:
    subject = a_subject(session, tell_after_seconds=60)
    turn(session, subject, H, U, at=NOON)

    restate(session, subject, UNREACHABLE, reason="its parent is down")

    assert tell(session, subject, now=NOON + HOUR) is None
    assert kinds(turn(session, subject, H, at=NOON + HOUR)) == []
