"""What the database adds up of spells is what arithmetic over every one of them says."""

import random
from datetime import timedelta

import pytest
from mainstay_server.kernel.watching import State, read_spells, sum_spells, uptime_of
from sqlalchemy.orm import Session
from tests.areas.health_checks.worlds import a_check
from tests.kernel.watching.worlds import (
    HOUR,
    MINUTE,
    NOON,
    PAUSED,
    UNKNOWN,
    UNREACHABLE,
    D,
    H,
    U,
    a_subject,
    turn,
)

DAY = timedelta(days=1)
MOST_CHANGES = 60
TRUE_TO = MOST_CHANGES * timedelta(milliseconds=1)


@pytest.mark.parametrize("seed", range(6))
def test_sums_are_those_of_all_spells_whatever_the_range(session: Session, seed: int) -> None:
    dice = random.Random(seed)
    subjects = [a_subject(session)]
    subjects += [a_check(session, number=number, now=NOON) for number in range(2, 5)]
    for subject in subjects:
        changes = dice.randrange(MOST_CHANGES)
        states = dice.choices([H, D, U, UNKNOWN, UNREACHABLE, PAUSED], k=changes)
        every = timedelta(seconds=dice.uniform(1, 7200))
        turn(session, subject, *states, at=NOON + MINUTE, every=every)
    # The last one fell silent an hour after its last word.
    subjects[-1].watched_until = subjects[-1].state_since + HOUR
    subjects[-1].silent_at = subjects[-1].state_since + 2 * HOUR
    session.flush()

    for _ in range(8):
        since = NOON + timedelta(seconds=dice.uniform(-DAY.total_seconds(), 5 * 86_400))
        until = since + timedelta(seconds=dice.uniform(0, 5 * 86_400))
        now = until - timedelta(seconds=dice.choice([0.0, dice.uniform(0, 86_400)]))
        told = read_spells(session, subjects, since=since, until=until, now=now)
        summed = sum_spells(session, subjects, since=since, until=until, now=now)
        for subject in subjects:
            exact = uptime_of(told[subject.id], since=since, until=until).lasted
            found = summed[subject.id].lasted
            assert not [s for s in State if abs(found[s] - exact[s]) > TRUE_TO]


def test_of_something_without_a_spell_nothing_is_known(session: Session) -> None:
    subject = a_subject(session)

    found = sum_spells(session, [subject], since=NOON - DAY, until=NOON - HOUR, now=NOON)

    assert found[subject.id].percent is None
    assert sum_spells(session, [], since=NOON, until=NOON + DAY, now=NOON + DAY) == {}
