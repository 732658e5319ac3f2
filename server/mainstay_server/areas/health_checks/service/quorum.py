"""The quorum: what several places that ask the same make of it, without a clock or a database.

A check is down only if enough of the places that answered say so, and it stays down until most of
them say otherwise: a split in two halves changes nothing either way. One place that fails alone is
worth knowing and no outage: the check is degraded. A place that is silent has no voice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mainstay_server.kernel.watching import KNOWN, State

LONGEST_REASON = 300
MOST_NAMED = 5


class Quorum(StrEnum):
    """How many of the places that answer must agree before a check is down."""

    ANY = "any"
    MAJORITY = "majority"
    ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Vote:
    """What one place says."""

    location: str
    state: State
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What all of them amount to; `state` is unknown when nobody has a voice."""

    state: State
    reason: str = ""


def verdict(votes: Sequence[Vote], *, before: State, quorum: Quorum) -> Verdict:
    """The state that follows from the votes; `before` is what decides a draw."""
    heard = [vote for vote in votes if vote.state in KNOWN]
    failing = [vote for vote in heard if vote.state == State.UNHEALTHY]
    slow = [vote for vote in heard if vote.state == State.DEGRADED]
    if not heard:
        return Verdict(state=State.UNKNOWN)
    if len(failing) >= _enough(len(heard), quorum):
        return Verdict(state=State.UNHEALTHY, reason=_reason(failing, heard))
    if before == State.UNHEALTHY and failing and 2 * len(failing) >= len(heard):
        return Verdict(state=State.UNHEALTHY, reason=_reason(failing, heard))
    if failing:
        return Verdict(state=State.DEGRADED, reason=_reason(failing, heard))
    if 2 * len(slow) > len(heard):
        return Verdict(state=State.DEGRADED, reason=_reason(slow, heard))
    return Verdict(state=State.HEALTHY)


def _enough(heard: int, quorum: Quorum) -> int:
    if quorum == Quorum.ANY:
        return 1
    return heard if quorum == Quorum.ALL else heard // 2 + 1


def _reason(found: Sequence[Vote], heard: Sequence[Vote]) -> str:
    if len(heard) == 1:
        return f"{found[0].reason} (from {found[0].location}, the only place that answers)"
    names = ", ".join(vote.location for vote in found[:MOST_NAMED])
    what = found[0].reason or str(found[0].state)
    return f"{what} (from {names}: {len(found)} of {len(heard)} places)"[:LONGEST_REASON]
