"""Uptime against an oracle that looks at every second, on both databases."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck as Unhealthy
from hypothesis import given, settings
from hypothesis import strategies as st
from mainstay_server.areas.health_checks.models import HealthState
from mainstay_server.areas.health_checks.service import checks, recording
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.watching import (
    Spell,
    Uptime,
    read_spells,
    uptime_of,
    worst_in_slots,
)
from sqlalchemy.orm import Session
from tests.areas.health_checks.worlds import GRACE, MINUTE, NOON, SECOND, a_check, finished
from tests.databases import on_both_stores

H, D, U = HealthState.HEALTHY, HealthState.DEGRADED, HealthState.UNHEALTHY
INTERVAL, TIMEOUT = 20, 3
ALLOWED = INTERVAL + 2 * TIMEOUT + GRACE


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, str]]:
    """What happens at which second: results, some of them after a long silence, and pauses."""
    second, history = 0, []
    for _ in range(draw(st.integers(1, 12))):
        second += draw(st.sampled_from([INTERVAL, INTERVAL - 1, INTERVAL + 5, 60, 200]))
        what = draw(st.sampled_from(["healthy", "degraded", "unhealthy", "pause", "resume"]))
        history.append((second, what))
    return history


def oracle(history: list[tuple[int, str]], end: int) -> list[str]:
    """The state of each second, by nothing but the words of the documentation."""
    seconds = ["unknown"] * end
    state, paused = "unknown", False
    moments = dict(history)
    for second in range(end):
        what = moments.get(second)
        if what == "pause" and not paused:
            state, paused = "paused", True
        elif what == "resume" and paused:
            state, paused = "unknown", False
        elif what in ("healthy", "degraded", "unhealthy") and not paused:
            state = what
        seconds[second] = state
    return _with_silences(seconds, history, end)


def _with_silences(seconds: list[str], history: list[tuple[int, str]], end: int) -> list[str]:
    """A result speaks for one interval, when the next comes later than what is allowed."""
    paused = False
    events = []
    for second, what in history:
        if what in ("pause", "resume"):
            if (what == "pause") == paused:
                continue
            paused = what == "pause"
        elif paused:
            continue
        events.append((second, what))
    for (second, what), (following, _) in pairwise([*events, (end, "now")]):
        is_result = what in ("healthy", "degraded", "unhealthy")
        if is_result and following - second > ALLOWED:
            for silent in range(second + INTERVAL, following):
                seconds[silent] = "unknown"
    return seconds


@on_both_stores
@settings(max_examples=60, deadline=None, suppress_health_check=[Unhealthy.function_scoped_fixture])
@given(history=histories(), window=st.tuples(st.integers(0, 2500), st.integers(1, 2500)))
def test_uptime_is_true_to_the_second(
    database: None, history: list[tuple[int, str]], window: tuple[int, int]
) -> None:
    end = history[-1][0] + 7
    since, length = window[0] % end, window[1]
    until = min(since + length, end)
    with transaction() as session:
        found = _lived(session, history, since=since, until=until, end=end)
        session.rollback()

    expected = oracle(history, end)[since:until]
    assert {state.value: time for state, time in found.lasted.items() if time} == {
        state: expected.count(state) * SECOND for state in set(expected)
    }
    known = [state for state in expected if state in ("healthy", "degraded", "unhealthy")]
    up = [state for state in known if state != "unhealthy"]
    assert found.percent == (pytest.approx(len(up) / len(known) * 100) if known else None)


def _lived(
    session: Session, history: list[tuple[int, str]], *, since: int, until: int, end: int
) -> Uptime:
    check = a_check(session, interval_seconds=INTERVAL, timeout_seconds=TIMEOUT)
    for second, what in history:
        at = NOON + second * SECOND
        if what == "pause":
            checks.pause_check(session, check, now=at)
        elif what == "resume":
            checks.resume_check(session, check, now=at)
        else:
            one = finished(check, HealthState(what), at=at, took_ms=0)
            recording.record_results(session, [one], grace_seconds=GRACE)
    now = NOON + end * SECOND
    start, stop = NOON + since * SECOND, NOON + until * SECOND
    spells = read_spells(session, [check], since=start, until=stop, now=now)
    return uptime_of(spells[check.id], since=start, until=stop)


def spell(state: HealthState, start: datetime, minutes: int) -> Spell:
    return Spell(state=state, started_at=start, ended_at=start + minutes * MINUTE)


def test_time_that_nobody_watched_is_in_no_denominator() -> None:
    spells = [
        spell(H, NOON, 30),
        spell(HealthState.UNKNOWN, NOON + 30 * MINUTE, 600),
        spell(HealthState.PAUSED, NOON + 630 * MINUTE, 600),
        spell(U, NOON + 1230 * MINUTE, 10),
    ]

    found = uptime_of(spells, since=NOON, until=NOON + timedelta(days=1))

    assert found.percent == 75.0
    assert found.known == 40 * MINUTE


def test_nothing_known_is_no_percentage() -> None:
    assert uptime_of([], since=NOON, until=NOON + MINUTE).percent is None


def test_a_slot_shows_the_worst_that_happened_in_it() -> None:
    spells = [
        spell(H, NOON + 2 * MINUTE, 3),
        spell(U, NOON + 5 * MINUTE, 1),
        spell(D, NOON + 6 * MINUTE, 4),
    ]

    slots = worst_in_slots(spells, since=NOON, until=NOON + 10 * MINUTE, count=5)

    assert [state for _, state in slots] == [None, H, U, D, D]
    assert [start for start, _ in slots][1] == NOON + 2 * MINUTE
