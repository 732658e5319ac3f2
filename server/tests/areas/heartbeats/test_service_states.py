"""Silence, failure, duration and rate: what each makes of a job, and what is said of it."""

from datetime import timedelta
from uuid import uuid4

from mainstay_server.areas.heartbeats.models import Heartbeat, Signal
from mainstay_server.areas.heartbeats.service import heartbeats, overdue
from mainstay_server.areas.heartbeats.service.making import change_values
from mainstay_server.contracts.heartbeats import (
    HeartbeatDegraded,
    HeartbeatMoved,
    HeartbeatRecovered,
    HeartbeatStopped,
    HeartbeatWentDown,
)
from mainstay_server.kernel.watching import State
from sqlalchemy.orm import Session
from tests.areas.heartbeats.worlds import (
    DAY,
    HOUR,
    LATER,
    MINUTE,
    NOON,
    SECOND,
    a_heartbeat,
    an_instance,
    note_open,
    pass_time,
    report,
)
from tests.conftest import Said
from tests.databases import on_both_stores

pytestmark = on_both_stores


def state_of(beat: Heartbeat) -> State:
    """The state, read anew: what is asserted once is not so for ever."""
    return State(beat.state)


def moves(said: Said) -> list[HeartbeatMoved]:
    return [event for event in said() if isinstance(event, HeartbeatMoved)]


def test_a_silent_heartbeat_goes_down_and_says_so_once(session: Session, said: Said) -> None:
    beat = a_heartbeat(session)
    report(session, beat)
    said()

    pass_time(session, until=NOON + HOUR + 10 * MINUTE)
    assert moves(said) == []
    pass_time(session, until=NOON + HOUR + 10 * MINUTE + LATER)
    pass_time(session, until=NOON + 3 * HOUR)

    assert moves(said) == [
        HeartbeatWentDown(
            organization_id=beat.organization_id,
            project_id=beat.project_id,
            instance_id=beat.instance_id,
            heartbeat_id=beat.id,
            name="Nightly backup",
            since=NOON + HOUR + 10 * MINUTE,
            reason="no report: it was due at 2026-03-01 13:00:00 UTC, and 10 min of grace passed",
        )
    ]


def test_one_that_never_reported_is_not_missed(session: Session, said: Said) -> None:
    beat = a_heartbeat(session)
    said()

    pass_time(session, until=NOON + 30 * DAY)

    assert (beat.state, moves(said)) == (State.UNKNOWN, [])


def test_the_first_report_is_told_to_nobody_and_recovery_is(session: Session, said: Said) -> None:
    beat = a_heartbeat(session)
    report(session, beat)
    assert moves(said) == []
    pass_time(session, until=NOON + 2 * HOUR)
    said()

    report(session, beat, at=NOON + 3 * HOUR)

    (recovered,) = moves(said)
    assert isinstance(recovered, HeartbeatRecovered)
    assert recovered.troubled_since == NOON + HOUR + 10 * MINUTE
    assert beat.due_at == NOON + 4 * HOUR


def test_a_failure_is_down_at_once_and_names_its_exit_status(session: Session, said: Said) -> None:
    beat = a_heartbeat(session)
    report(session, beat)
    said()

    report(session, beat, Signal.FAIL, at=NOON + MINUTE, exit_status=3)

    (down,) = moves(said)
    assert isinstance(down, HeartbeatWentDown)
    assert (down.since, down.reason) == (
        NOON + MINUTE,
        "it said that it failed, with exit status 3",
    )
    assert beat.alert_at is None


def test_a_log_changes_nothing_but_is_kept(session: Session) -> None:
    beat = a_heartbeat(session)
    report(session, beat)
    before = (beat.state, beat.due_at, beat.alert_at, beat.last_ping_at)

    report(session, beat, Signal.LOG, at=NOON + MINUTE, body=b"half done")

    assert (beat.state, beat.due_at, beat.alert_at, beat.last_ping_at) == before
    assert beat.pings_count == 2


def test_a_start_without_an_end_is_down_after_its_grace(session: Session, said: Said) -> None:
    beat = a_heartbeat(session)
    report(session, beat)
    report(session, beat, Signal.START, at=NOON + 30 * MINUTE)
    said()

    pass_time(session, until=NOON + 40 * MINUTE + LATER)

    (down,) = moves(said)
    assert down.reason == "too long: its run has not ended 10 min after its start"
    assert down.since == NOON + 40 * MINUTE


def test_a_first_start_without_an_end_is_down_too(session: Session) -> None:
    beat = a_heartbeat(session)
    report(session, beat, Signal.START)

    pass_time(session, until=NOON + 11 * MINUTE)

    assert state_of(beat) == State.UNHEALTHY


def test_a_longest_duration_counts_instead_of_the_grace_while_it_runs(session: Session) -> None:
    beat = a_heartbeat(session, max_duration_seconds=7200)
    report(session, beat)
    report(session, beat, Signal.START, at=NOON + HOUR)

    pass_time(session, until=NOON + 3 * HOUR)
    assert state_of(beat) == State.HEALTHY
    pass_time(session, until=NOON + 3 * HOUR + LATER)
    assert state_of(beat) == State.UNHEALTHY
    assert beat.state_reason == "too long: its run has not ended 2 h after its start"


def test_a_job_that_must_start_is_missed_before_its_grace(session: Session) -> None:
    beat = a_heartbeat(session, start_grace_seconds=120, max_duration_seconds=3600)
    report(session, beat)

    pass_time(session, until=NOON + HOUR + 2 * MINUTE + LATER)

    assert state_of(beat) == State.UNHEALTHY
    assert beat.state_reason == (
        "never started: its start was due at 2026-03-01 13:00:00 UTC, and 2 min passed"
    )


def test_a_run_that_ends_too_fast_is_degraded_until_one_that_does_not(
    session: Session, said: Said
) -> None:
    beat = a_heartbeat(session, min_duration_seconds=30)
    report(session, beat)
    report(session, beat, Signal.START, at=NOON + MINUTE)
    said()
    report(session, beat, at=NOON + MINUTE + 2 * SECOND)

    (degraded,) = moves(said)
    assert isinstance(degraded, HeartbeatDegraded)
    assert degraded.reason == "too fast: it ended after 2 s, at least 30 s"

    report(session, beat, Signal.START, at=NOON + HOUR)
    report(session, beat, at=NOON + HOUR + MINUTE)
    assert state_of(beat) == State.HEALTHY


def test_reports_that_come_too_often_are_degraded(session: Session) -> None:
    beat = a_heartbeat(session, most_reports=3, most_reports_seconds=60)
    for second in range(3):
        report(session, beat, at=NOON + second * SECOND)
    assert state_of(beat) == State.HEALTHY

    report(session, beat, at=NOON + 3 * SECOND)
    assert state_of(beat) == State.DEGRADED
    assert beat.state_reason == "too often: more than 3 reports within 1 min"

    report(session, beat, at=NOON + 3 * MINUTE)
    assert state_of(beat) == State.HEALTHY


def test_a_report_just_before_its_turn_counts_for_it(session: Session) -> None:
    cron = {"schedule_kind": "cron", "expression": "0 3 * * *"}
    instance = an_instance(session)
    strict = a_heartbeat(session, instance, **cron)
    kind = a_heartbeat(session, instance, early_seconds=60, **cron)
    just_before = NOON.replace(hour=2, minute=59, second=50)

    for beat in (strict, kind):
        report(session, beat, at=just_before)

    assert strict.due_at == just_before + 10 * SECOND
    assert kind.due_at == just_before + DAY + 10 * SECOND


def test_durations_of_overlapping_runs_are_told_apart_by_their_ids(session: Session) -> None:
    beat = a_heartbeat(session, max_duration_seconds=3600)
    one, other = str(uuid4()), str(uuid4())
    report(session, beat, Signal.START, at=NOON, run_id=one)
    report(session, beat, Signal.START, at=NOON + MINUTE, run_id=other)
    report(session, beat, at=NOON + 3 * MINUTE, run_id=other)
    assert (beat.last_duration_ms, beat.is_running) == (120_000, True)

    report(session, beat, at=NOON + 10 * MINUTE, run_id=one)
    assert (beat.last_duration_ms, beat.is_running) == (600_000, False)


def test_a_run_that_hangs_is_told_though_others_succeed(session: Session) -> None:
    beat = a_heartbeat(session, max_duration_seconds=600)
    hanging = str(uuid4())
    report(session, beat, Signal.START, at=NOON, run_id=hanging)
    for minute in (5, 9):
        run = str(uuid4())
        report(session, beat, Signal.START, at=NOON + minute * MINUTE, run_id=run)
        report(session, beat, at=NOON + minute * MINUTE + SECOND, run_id=run)

    pass_time(session, until=NOON + 10 * MINUTE + LATER)

    assert state_of(beat) == State.UNHEALTHY
    assert hanging in beat.state_reason
    assert not beat.is_running


def test_what_took_three_days_has_no_duration(session: Session) -> None:
    beat = a_heartbeat(session)
    report(session, beat, Signal.START, at=NOON)

    report(session, beat, at=NOON + 3 * DAY)

    assert beat.last_duration_ms is None


def test_a_miss_is_forgiven_as_often_as_was_said(session: Session, said: Said) -> None:
    beat = a_heartbeat(session, fail_after=2)
    report(session, beat)
    said()

    pass_time(session, until=NOON + HOUR + 10 * MINUTE + LATER)
    assert (beat.state, beat.due_at) == (State.HEALTHY, NOON + 2 * HOUR)
    pass_time(session, until=NOON + 2 * HOUR + 10 * MINUTE + LATER)

    (down,) = moves(said)
    assert down.since == NOON + 2 * HOUR + 10 * MINUTE


def test_it_recovers_after_as_many_successes_as_was_said(session: Session) -> None:
    beat = a_heartbeat(session, recover_after=2)
    report(session, beat, Signal.FAIL)

    report(session, beat, at=NOON + MINUTE)
    assert state_of(beat) == State.UNHEALTHY
    report(session, beat, at=NOON + 2 * MINUTE)
    assert state_of(beat) == State.HEALTHY


def test_pausing_ends_what_was_told_and_a_report_resumes(session: Session, said: Said) -> None:
    beat = a_heartbeat(session)
    report(session, beat, Signal.FAIL)
    said()

    heartbeats.pause_heartbeat(session, beat, now=NOON + MINUTE)
    (stopped,) = moves(said)
    assert isinstance(stopped, HeartbeatStopped)
    pass_time(session, until=NOON + 2 * DAY)
    report(session, beat, at=NOON + 3 * DAY)

    assert (beat.state, moves(said)) == (State.HEALTHY, [])


def test_paused_means_paused_where_somebody_must_resume(session: Session) -> None:
    beat = a_heartbeat(session, manual_resume=True)
    heartbeats.pause_heartbeat(session, beat, now=NOON)

    result = report(session, beat, at=NOON + MINUTE)

    assert (result.signal, beat.state, beat.pings_count) == ("ign", State.PAUSED, 1)


def test_a_method_that_it_does_not_take_is_ignored(session: Session) -> None:
    beat = a_heartbeat(session, methods="POST")

    assert report(session, beat, method="GET").signal == "ign"
    assert report(session, beat, method="POST").signal == "success"


def test_an_outage_of_ours_is_unknown_until_its_grace_has_passed_once_more(
    session: Session, said: Said
) -> None:
    beat = a_heartbeat(session)
    report(session, beat)
    note_open(session, at=NOON + 30 * MINUTE)
    said()
    back = NOON + 5 * HOUR

    assert overdue.mark_overdue(session, now=back) == 0
    assert overdue.note_doors_open(session, now=back) == 1
    assert (beat.state, beat.state_since) == (State.UNKNOWN, NOON + HOUR + 10 * MINUTE)
    pass_time(session, until=back + 9 * MINUTE)
    assert (beat.state, moves(said)) == (State.UNKNOWN, [])
    pass_time(session, until=back + 10 * MINUTE + LATER)

    (down,) = moves(said)
    assert down.since == back + 10 * MINUTE


def test_a_report_after_our_outage_is_no_recovery(session: Session, said: Said) -> None:
    beat = a_heartbeat(session)
    report(session, beat)
    note_open(session, at=NOON + 30 * MINUTE)
    said()
    overdue.note_doors_open(session, now=NOON + 5 * HOUR)

    report(session, beat, at=NOON + 5 * HOUR + MINUTE)

    assert (beat.state, moves(said)) == (State.HEALTHY, [])


def test_another_schedule_holds_at_once(session: Session) -> None:
    beat = a_heartbeat(session)
    report(session, beat)

    change_values(session, beat, {"period_seconds": 86_400}, now=NOON)

    assert beat.alert_at == NOON + timedelta(days=1, minutes=10)
