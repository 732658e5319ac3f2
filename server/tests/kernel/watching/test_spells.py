"""Spells read back: all that are needed, the newest of too many, and none of them silently."""

from datetime import timedelta
from itertools import pairwise

import pytest
from mainstay_server.kernel.watching import read_spells, spells, uptime_of
from sqlalchemy.orm import Session
from tests.areas.health_checks.worlds import a_check
from tests.kernel.watching.worlds import HOUR, MINUTE, NOON, UNKNOWN, D, H, U, a_subject, turn

DAY = timedelta(days=1)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that takes ten spells of each subject, and forty in all."""
    monkeypatch.setattr(spells, "MOST_SPELLS", 40)
    monkeypatch.setattr(spells, "MOST_OF_ONE", 10)
    monkeypatch.setattr(spells, "LEAST_OF_EACH", 10)


@pytest.mark.usefixtures("few")
def test_of_too_many_the_newest_are_told_and_the_rest_is_unknown_aloud(session: Session) -> None:
    subject = a_subject(session)
    turn(session, subject, *[U, H] * 15, at=NOON + MINUTE)
    now = NOON + HOUR

    told = read_spells(session, [subject], since=NOON, until=now, now=now)[subject.id]

    assert len(told) == 11
    assert (told[0].state, told[0].started_at) == (UNKNOWN, NOON)
    assert "more changes" in told[0].reason
    assert all(one.ended_at == two.started_at for one, two in pairwise(told))
    assert (told[-1].state, told[-1].ended_at) == (H, now)
    found = uptime_of(told, since=NOON, until=now)
    assert found.lasted[UNKNOWN] == 21 * MINUTE
    assert found.lasted[U] == 5 * MINUTE
    assert found.coverage == pytest.approx(39 / 60 * 100)


@pytest.mark.usefixtures("few")
def test_one_that_never_rests_takes_nothing_away_from_the_others(session: Session) -> None:
    """As many are asked about together as a page shows; the others' newest spells are there."""
    restless = a_subject(session)
    turn(session, restless, *[U, H] * 30, at=NOON + MINUTE)
    calm = []
    for number in range(2, 7):
        calm.append(a_check(session, number=number, now=NOON))
        turn(session, calm[-1], H, D, at=NOON, every=23 * HOUR)
    now = NOON + DAY

    told = read_spells(session, [restless, *calm], since=NOON, until=now, now=now)

    for one in calm:
        assert [(each.state, each.ended_at - each.started_at) for each in told[one.id]] == [
            (H, 23 * HOUR),
            (D, HOUR),
        ]
    assert told[restless.id][-1].state == H
