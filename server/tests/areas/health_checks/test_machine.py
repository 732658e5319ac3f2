"""A thousand lives of a check, each the same as an oracle that looks at every second."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.service import checks, recording, telling
from mainstay_server.contracts.health_checks import (
    HealthChanged,
    HealthCheckDegraded,
    HealthCheckFlapping,
    HealthCheckRecovered,
    HealthCheckSettled,
    HealthCheckStopped,
    HealthCheckWentDown,
)
from mainstay_server.kernel.database import is_sqlite
from mainstay_server.kernel.events import Event
from mainstay_server.kernel.watching import (
    State,
    Uptime,
    install_windows,
    read_spells,
    uptime_of,
    uptime_over,
    windows_of,
)
from sqlalchemy.orm import Session
from tests.areas.health_checks.oracle import Oracle, Script
from tests.areas.health_checks.worlds import GRACE, NOON, SECOND, a_check, finished
from tests.conftest import Said
from tests.databases import on_both_stores
from tests.kernel.watching.worlds import Planned, Window

INTERVAL, TIMEOUT = 20, 3
ALLOWED = int(2 * TIMEOUT + GRACE)
LIVES, AT_ONCE = 1_000, 250
ON_POSTGRESQL = range(250, 500)  # the quarter with every kind of word: it takes twice the time
KNOWN = ("healthy", "degraded", "unhealthy")
PLAIN = {
    HealthCheckWentDown: "unhealthy",
    HealthCheckDegraded: "degraded",
    HealthCheckRecovered: "healthy",
    HealthCheckStopped: "stopped",
    HealthCheckFlapping: "flapping",
}


@pytest.fixture(autouse=True)
def no_maintenance() -> Iterator[None]:
    install_windows(None)
    yield
    install_windows(None)


def a_script(chance: random.Random) -> Script:
    """Calm lives, nervous ones and those that are often not watched."""
    # All on one grid, so that many lives share each moment and its transaction.
    gaps = chance.choice([[20], [20, 20, 40], [20, 40, 60, 200], [20, 20, 20, 900, 4000]])
    words = chance.choice(
        [
            ["healthy", "unhealthy"],
            ["healthy", "healthy", "degraded", "unhealthy"],
            ["healthy", "degraded", "unhealthy", "pause", "resume", "resume"],
        ]
    )
    second, events = 0, []
    for _ in range(chance.randint(3, 16)):
        second += chance.choice(gaps)
        events.append((second, chance.choice(words)))
    end = second + chance.choice([20, 80, 400, 4000])
    starts = sorted(chance.randrange(end) for _ in range(chance.choice([0, 0, 1, 2])))
    windows: list[tuple[int, int]] = []
    for start in starts:
        if not windows or windows[-1][1] < start:
            windows.append((start, start + chance.choice([30, 200, 1000])))
    return Script(
        interval=INTERVAL,
        allowed=ALLOWED,
        fail_after=chance.choice([1, 1, 2, 3]),
        recover_after=chance.choice([1, 1, 2]),
        tell_after=chance.choice([0, 0, 0, 60, 100, 400]),
        windows=windows,
        events=events,
        end=end,
    )


@dataclass
class Life:
    """One check, what happens to it, and what became of that."""

    script: Script
    check: HealthCheck
    window: tuple[int, int]
    said: list[tuple[int, str]] = field(default_factory=list)
    uptime: Uptime | None = None


class PlannedEach:
    """The maintenance of each life."""

    is_answered = True

    def __init__(self, lives: Sequence[Life]) -> None:
        self._planned = {
            life.check.id: Planned(
                *(
                    Window(started_at=at_second(start), ended_at=at_second(end))
                    for start, end in life.script.windows
                )
            )
            for life in lives
        }

    def __call__(
        self,
        session: Session,
        instance_id: str,
        tags: Sequence[str],
        subject_id: str,
        *,
        since: datetime,
        until: datetime,
    ) -> Sequence[Window]:
        asked = self._planned[subject_id]
        return asked(session, instance_id, tags, subject_id, since=since, until=until)


def live(session: Session, lives: Sequence[Life], said: Said) -> None:
    """Have all of it happen, with the jobs of every minute, and results in common batches.

    Each life's uptime is asked for at its own end; what is said of it after that is left out.
    """
    due = _due(lives)
    last = max(life.script.end for life in lives)
    for second in sorted({*due, *range(0, last, 60)}):
        at = at_second(second)
        for life in (life for life, what in due[second] if what == "end"):
            since, until = (at_second(bound) for bound in life.window)
            life.uptime = uptime_over(session, life.check, since=since, until=until, now=at)
        if second % 60 == 0:
            recording.mark_unwatched(session, now=at)
            telling.tell_held_back(session, now=at)
        _happen(session, due[second], at=at)
        _note(lives, said(), second)


def _due(lives: Sequence[Life]) -> dict[int, list[tuple[Life, str]]]:
    """What happens to whom at which second."""
    due: dict[int, list[tuple[Life, str]]] = defaultdict(list)
    for life in lives:
        life.check.fail_after = life.script.fail_after
        life.check.recover_after = life.script.recover_after
        life.check.tell_after_seconds = life.script.tell_after
        due[life.script.end].append((life, "end"))
        for second, what in life.script.events:
            due[second].append((life, what))
    return due


def _note(lives: Sequence[Life], events: Sequence[Event], second: int) -> None:
    by_id = {life.check.id: life for life in lives}
    for event in events:
        if isinstance(event, HealthChanged) and second < by_id[event.health_check_id].script.end:
            by_id[event.health_check_id].said.append((second, word_of(event)))


def _happen(session: Session, due: Sequence[tuple[Life, str]], *, at: datetime) -> None:
    results = []
    for life, what in due:
        if what == "pause":
            checks.pause_check(session, life.check, now=at)
        elif what == "resume":
            checks.resume_check(session, life.check, now=at)
        elif what in KNOWN:
            results.append(finished(life.check, State(what), at=at, took_ms=0))
    if results:
        recording.record_results(session, results, grace_seconds=GRACE)


def word_of(event: HealthChanged) -> str:
    """What was said of a state, in the words of the oracle."""
    if isinstance(event, HealthCheckSettled):
        return f"settled {event.state}"
    return PLAIN[type(event)]


def a_fresh_check(session: Session, before: HealthCheck) -> HealthCheck:
    """Another check of the same instance, without a history."""
    check = HealthCheck(
        organization_id=before.organization_id,
        project_id=before.project_id,
        instance_id=before.instance_id,
        name="life",
        kind="http",
        url=before.url,
        config={},
        interval_seconds=INTERVAL,
        timeout_seconds=TIMEOUT,
        degraded_after_ms=2000,
    )
    checks._add(session, check, now=NOON)
    return check


def at_second(second: int) -> datetime:
    return NOON + second * SECOND


@pytest.mark.slow
@on_both_stores
def test_a_thousand_lives_are_as_an_oracle_says(session: Session, said: Said) -> None:
    first = a_check(session, interval_seconds=INTERVAL, timeout_seconds=TIMEOUT)
    kinds: Counter[str] = Counter()
    seeds = range(LIVES) if is_sqlite() else ON_POSTGRESQL
    for batch in seeds[::AT_ONCE]:
        lives = [a_life(session, first, seed) for seed in range(batch, batch + AT_ONCE)]
        install_windows(PlannedEach(lives))
        live(session, lives, said)
        for seed, life in enumerate(lives, batch):
            oracle = Oracle(life.script)
            oracle.live()
            assert life.said == oracle.said, f"life {seed}: {life.script}"
            assert_as_long(life, oracle.seconds, f"life {seed}: {life.script}")
            kinds.update(word for _, word in life.said)
        session.execute(sa.delete(HealthCheck).where(HealthCheck.name == "life"))
        session.expunge_all()

    assert set(kinds) >= {"unhealthy", "degraded", "healthy", "stopped", "flapping"}
    assert any(word.startswith("settled") for word in kinds)


def assert_as_long(life: Life, seconds: Sequence[str], about: str) -> None:
    """The uptime of a life's window is what counting its seconds gives."""
    assert life.uptime is not None
    first, last = life.window
    covered = {s for start, end in life.script.windows for s in range(start, end)}
    expected = Counter(seconds[s] for s in range(first, last) if s not in covered)
    found = {str(state): span / SECOND for state, span in life.uptime.lasted.items() if span}
    assert found == expected, about
    known = sum(expected[state] for state in KNOWN)
    up = expected["healthy"] + expected["degraded"]
    assert life.uptime.percent == (pytest.approx(up / known * 100) if known else None)
    assert life.uptime.percent is None or 0 <= life.uptime.percent <= 100


def a_life(session: Session, first: HealthCheck, seed: int) -> Life:
    chance = random.Random(seed)
    script = a_script(chance)
    begin = chance.randrange(script.end)
    window = (begin, chance.randint(begin + 1, script.end))
    return Life(script=script, check=a_fresh_check(session, first), window=window)


def test_a_coin_that_is_tossed_for_a_day_is_told_of_less_than_twice_an_hour(
    session: Session, said: Said
) -> None:
    check = a_check(session, interval_seconds=60, timeout_seconds=TIMEOUT)
    chance = random.Random(2026)
    hours: Counter[int] = Counter()
    for minute in range(24 * 60):
        state = State.HEALTHY if chance.random() < 0.5 else State.UNHEALTHY
        one = finished(check, state, at=NOON + minute * 60 * SECOND, took_ms=0)
        recording.record_results(session, [one], grace_seconds=GRACE)
        hours[minute // 60] += sum(isinstance(event, HealthChanged) for event in said())

    # An outage, its end, and the word that it flaps: after that nobody hears of it again.
    assert hours[0] <= 3
    assert sum(hours.values()) - hours[0] == 0


def test_arithmetic_over_spells_is_that_over_any_range(session: Session, said: Said) -> None:
    check = a_check(session, interval_seconds=INTERVAL, timeout_seconds=TIMEOUT)
    script = a_script(random.Random(7))
    live(session, [Life(script=script, check=check, window=(0, script.end))], said)
    now = at_second(script.end)

    spells = read_spells(session, [check], since=NOON, until=now, now=now)[check.id]
    windows = windows_of(session, check, since=NOON, until=now)
    whole = uptime_of(spells, since=NOON, until=now, without=windows)
    halves = [
        uptime_over(session, check, since=since, until=until, now=now)
        for since, until in ((NOON, NOON + (now - NOON) / 2), (NOON + (now - NOON) / 2, now))
    ]

    assert halves[0] + halves[1] == whole
    assert sum(whole.lasted.values(), timedelta()) == now - NOON
