"""The state machine of thresholds as truth tables: no clock but the one that is passed in."""

from datetime import timedelta

import pytest
from mainstay_server.areas.alerts.models import Severity
from mainstay_server.areas.alerts.service.measures.thresholds import (
    Compares,
    Level,
    Phase,
    Standing,
    Terms,
    gravest,
    is_well,
    look,
    next_standing,
    passes,
)
from tests.areas.alerts.conftest import MINUTE, NOON

CALM, PENDING, FIRING, CLEARING = Phase
LATE = NOON + 5 * MINUTE
WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL


def terms(
    *levels: tuple[Severity, float, float],
    compares: Compares = "above",
    hold: timedelta = timedelta(),
    calm: timedelta = timedelta(),
) -> Terms:
    return Terms(
        compares=compares, levels=tuple(Level(*level) for level in levels), hold=hold, calm=calm
    )


@pytest.mark.parametrize(
    ("before", "passed", "well", "lasted", "after"),
    [
        # Held for two minutes before it is told, and well for three before it is over.
        (CALM, False, True, 0, CALM),
        (CALM, False, False, 9, CALM),
        (CALM, True, False, 9, PENDING),
        (PENDING, True, False, 1, PENDING),
        (PENDING, True, False, 2, FIRING),
        (PENDING, False, False, 9, CALM),
        (PENDING, False, True, 1, CALM),
        (FIRING, True, False, 99, FIRING),
        (FIRING, False, False, 99, FIRING),
        (FIRING, False, True, 99, CLEARING),
        (CLEARING, False, True, 2, CLEARING),
        (CLEARING, False, True, 3, CALM),
        (CLEARING, False, False, 99, FIRING),
        (CLEARING, True, False, 1, FIRING),
    ],
)
def test_each_phase_leads_where_the_table_says(
    before: Phase, *, passed: bool, well: bool, lasted: int, after: Phase
) -> None:
    standing = Standing(before, LATE - lasted * MINUTE)
    found = next_standing(
        standing, passed=passed, well=well, hold=2 * MINUTE, calm=3 * MINUTE, now=LATE
    )
    assert found.phase is after
    assert found.since == (standing.since if after is before else LATE)


def test_without_durations_it_is_told_and_over_at_once() -> None:
    at_once = timedelta()
    calm = Standing(CALM, NOON)
    fired = next_standing(calm, passed=True, well=False, hold=at_once, calm=at_once, now=LATE)
    assert fired == Standing(FIRING, LATE)
    ended = next_standing(fired, passed=False, well=True, hold=at_once, calm=at_once, now=LATE)
    assert ended == Standing(CALM, LATE)


@pytest.mark.parametrize(
    ("compares", "value", "passed", "well"),
    [
        ("above", 10.1, True, False),
        ("above", 10, False, False),
        ("above", 8.1, False, False),
        ("above", 8, False, True),
        ("above", None, False, True),
        ("absent", None, True, False),
        ("absent", 0, False, True),
    ],
)
def test_between_the_thresholds_nothing_begins_and_nothing_ends(
    compares: Compares, value: float | None, *, passed: bool, well: bool
) -> None:
    rule = terms((WARNING, 10, 8), compares=compares)
    assert passes(rule, rule.levels[0], value) is passed
    assert is_well(rule, rule.levels[0], value) is well


def test_what_must_not_be_low_is_compared_the_other_way() -> None:
    rule = terms((WARNING, 99, 99.5), compares="below")
    found = {value: look(rule, {}, value, now=NOON) for value in (99.9, 99.0, 98.9)}
    assert {value: bool(standings) for value, standings in found.items()} == {
        99.9: False,
        99.0: False,
        98.9: True,
    }
    firing = found[98.9]
    assert look(rule, firing, 99.4, now=LATE) == firing
    assert look(rule, firing, 99.5, now=LATE) == {}


def test_of_several_levels_the_gravest_that_is_on_counts() -> None:
    rule = terms((WARNING, 1, 1), (CRITICAL, 5, 5), hold=MINUTE)
    standings = look(rule, {}, 6, now=NOON)
    assert gravest(standings) is None
    standings = look(rule, standings, 2, now=NOON + MINUTE)
    assert gravest(standings) is WARNING
    standings = look(rule, standings, 6, now=NOON + 2 * MINUTE)
    assert gravest(standings) is WARNING
    standings = look(rule, standings, 6, now=NOON + 3 * MINUTE)
    assert gravest(standings) is CRITICAL
    standings = look(rule, standings, 2, now=NOON + 4 * MINUTE)
    assert gravest(standings) is WARNING
    assert gravest(look(rule, standings, 0, now=NOON + 5 * MINUTE)) is None
