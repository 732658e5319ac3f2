"""Readiness checks: the questions a careful operator asks before going live, and their findings."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from .subjects import InstanceRef


class Weight(StrEnum):
    """How much a failing readiness check should worry: `must` blocks going live."""

    MUST = "must"
    SHOULD = "should"


@dataclass(frozen=True, kw_only=True)
class Passed:
    """The question was answered well; `evidence` is the live fact that says so."""

    evidence: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is wrong and the one fix; `fix_url` leads to the page or guide where it is done."""

    problem: str
    fix: str
    fix_url: str = ""


@dataclass(frozen=True, kw_only=True)
class NotApplicable:
    """The question makes no sense for this instance, and why."""

    reason: str


Outcome = Passed | Finding | NotApplicable
Question = Callable[[Session, InstanceRef, datetime], Outcome]


@dataclass(frozen=True, kw_only=True)
class ReadinessCheck:
    """One question of the scorecard. `id` is stable: gates and silences refer to it."""

    id: str
    question: str
    weight: Weight
    ask: Question = field(repr=False)


def readiness_check(
    id: str,  # noqa: A002 - the field's name
    question: str,
    *,
    weight: Weight = Weight.MUST,
) -> Callable[[Question], ReadinessCheck]:
    """Declare `def check(session, instance, now) -> Passed | Finding | NotApplicable`."""

    def declare(ask: Question) -> ReadinessCheck:
        return ReadinessCheck(id=id, question=question, weight=weight, ask=ask)

    return declare
