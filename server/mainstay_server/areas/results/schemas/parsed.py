"""What a file of results says, whatever it is written in."""

from collections.abc import Iterable
from typing import Any

import msgspec

from mainstay_server.areas.results.models import CaseStatus
from mainstay_server.kernel.problems import Invalid, TooLarge

MOST_CASES = 50_000
MOST_METRICS = 2_000
LONGEST_NAME = 500
LARGEST_NUMBER = 1e300
LONGEST_MESSAGE = 2_000
WORST_FIRST = (CaseStatus.FAILED, CaseStatus.PASSED, CaseStatus.SKIPPED)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One test or step. `message` is why it failed or was skipped."""

    name: str
    status: CaseStatus
    seconds: float = 0.0
    message: str = ""


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """Cases by name, each once, and numbers by name."""

    cases: list[Case] = []
    metrics: dict[str, float] = {}


def gathered(cases: Iterable[Case]) -> list[Case]:
    """The cases by name. One that is there several times went as its worst, and took all the time.

    Raises:
        TooLarge: there are too many.
    """
    found: dict[str, Case] = {}
    for count, case in enumerate(cases):
        if count >= MOST_CASES:
            raise TooLarge(f"It has more than {MOST_CASES:,} cases; upload it in parts.")
        before = found.get(case.name)
        found[case.name] = case if before is None else _together(before, case)
    return [found[name] for name in sorted(found)]


def _together(one: Case, other: Case) -> Case:
    worst = min((one, other), key=lambda case: WORST_FIRST.index(case.status))
    return msgspec.structs.replace(worst, seconds=one.seconds + other.seconds)


def decoded(body: bytes) -> Any:  # noqa: ANN401 - whatever the JSON says
    """A JSON document. Raises `Invalid` and says where it is broken."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise unreadable(f"it is no JSON ({error})") from error


def number_of(value: object) -> float | None:
    """A number that can be computed with; None for anything else, `true` and infinity too."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < LARGEST_NUMBER else None


def unreadable(why: str) -> Invalid:
    """The refusal of a file that makes no sense."""
    return Invalid(f"The results cannot be read: {why}.", code="results-unreadable")
