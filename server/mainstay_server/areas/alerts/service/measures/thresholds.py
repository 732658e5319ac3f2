"""When a threshold fires and when it is over: a state machine over a clock, and nothing else.

A level of a rule is calm, pending (passed, but not for long enough), firing, or clearing (well
again, but not for long enough). Between its threshold and its clear threshold nothing begins and
nothing ends, so that a value that hovers there tells nobody twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from mainstay_server.areas.alerts.models import Severity

Compares = Literal["above", "below", "absent"]


class Phase(StrEnum):
    """How far a level of a rule is."""

    CALM = "calm"
    PENDING = "pending"
    FIRING = "firing"
    CLEARING = "clearing"

    @property
    def is_on(self) -> bool:
        """Whether people have been told, and not yet that it is over."""
        return self in (Phase.FIRING, Phase.CLEARING)


@dataclass(frozen=True, slots=True)
class Standing:
    """A phase, and since when it is the one."""

    phase: Phase
    since: datetime


@dataclass(frozen=True, slots=True)
class Level:
    """A severity, from which value on, and from which value on no more."""

    severity: Severity
    threshold: float
    clear: float


@dataclass(frozen=True, slots=True)
class Terms:
    """What a rule says of values: the levels, and how long each change has to last."""

    compares: Compares
    levels: tuple[Level, ...]
    hold: timedelta
    calm: timedelta
    minimum_count: int = 0


def passes(terms: Terms, level: Level, value: float | None) -> bool:
    """Whether a value is on the bad side of a level's threshold; None is a value that is missing.

    What is missing passes where absence is asked for, and nowhere else.
    """
    if terms.compares == "absent" or value is None:
        return terms.compares == "absent" and value is None
    return value > level.threshold if terms.compares == "above" else value < level.threshold


def is_well(terms: Terms, level: Level, value: float | None) -> bool:
    """Whether a value is on the good side of a level's clear threshold.

    A missing value is: nobody sees trouble then. Who wants to know of silence asks for absence.
    """
    if terms.compares == "absent" or value is None:
        return (terms.compares == "absent") is (value is not None)
    return value <= level.clear if terms.compares == "above" else value >= level.clear


def next_standing(
    before: Standing, *, passed: bool, well: bool, hold: timedelta, calm: timedelta, now: datetime
) -> Standing:
    """The standing after one look; the same object when nothing changed."""
    phase = before.phase
    if phase in (Phase.CALM, Phase.PENDING):
        if not passed:
            return before if phase is Phase.CALM else Standing(Phase.CALM, now)
        since = now if phase is Phase.CALM else before.since
        if now - since >= hold:
            return Standing(Phase.FIRING, now)
        return before if phase is Phase.PENDING else Standing(Phase.PENDING, now)
    if not well:
        return before if phase is Phase.FIRING else Standing(Phase.FIRING, now)
    since = now if phase is Phase.FIRING else before.since
    if now - since >= calm:
        return Standing(Phase.CALM, now)
    return before if phase is Phase.CLEARING else Standing(Phase.CLEARING, now)


def look(
    terms: Terms, before: Mapping[Severity, Standing], value: float | None, *, now: datetime
) -> dict[Severity, Standing]:
    """The standing of every level after one look at a value; calm ones are absent."""
    after = {}
    for level in terms.levels:
        standing = next_standing(
            before.get(level.severity) or Standing(Phase.CALM, now),
            passed=passes(terms, level, value),
            well=is_well(terms, level, value),
            hold=terms.hold,
            calm=terms.calm,
            now=now,
        )
        if standing.phase is not Phase.CALM:
            after[level.severity] = standing
    return after


def gravest(standings: Mapping[Severity, Standing]) -> Severity | None:
    """The gravest level that people have been told of, or None."""
    told = [severity for severity, standing in standings.items() if standing.phase.is_on]
    return max(told, key=lambda severity: severity.rank, default=None)
