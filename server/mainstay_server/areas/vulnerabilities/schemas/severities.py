"""How grave: scores and vectors of CVSS, and the words that scanners use instead."""

import math
from collections.abc import Iterable
from functools import lru_cache

from cvss import CVSS2, CVSS3, CVSS4  # type: ignore[import-untyped]  # it ships no types
from cvss.exceptions import CVSSError  # type: ignore[import-untyped]  # same

from mainstay_server.areas.vulnerabilities.models import FLOORS, Severity

LONGEST_VECTOR = 300
HIGHEST = 10
WORDS = {
    "critical": Severity.CRITICAL,
    "high": Severity.HIGH,
    "important": Severity.HIGH,
    "error": Severity.HIGH,
    "medium": Severity.MEDIUM,
    "moderate": Severity.MEDIUM,
    "warning": Severity.MEDIUM,
    "low": Severity.LOW,
    "note": Severity.LOW,
    "none": Severity.LOW,
    "info": Severity.LOW,
    "informational": Severity.LOW,
    "negligible": Severity.LOW,
}


def severity_of(score: float | None, *words: object) -> Severity:
    """The band of a score, by the table of CVSS v3 and v4; without one the first known word.

    A score of 0 is `low`: something was found, and somebody thinks that it does no harm.
    """
    if score is not None:
        return next((s for s in Severity if score >= FLOORS[s] and FLOORS[s]), Severity.LOW)
    known = (WORDS.get(str(word or "").strip().lower()) for word in words)
    return next((one for one in known if one is not None), Severity.UNKNOWN)


def score_of(value: object) -> float | None:
    """A score from 0 to 10, given as a number or a text; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        score = float(value)
    except (ValueError, OverflowError):
        return None
    return round(score, 1) if math.isfinite(score) and 0 <= score <= HIGHEST else None


def score_of_vectors(vectors: Iterable[object]) -> float | None:
    """The score of the newest kind of vector that can be read: CVSS v4, v3 or v2."""
    scores = [_scored(str(vector)) for vector in vectors if vector]
    best = max((one for one in scores if one), default=None)
    return best[1] if best else None


@lru_cache(maxsize=4096)
def _scored(vector: str) -> tuple[int, float] | None:
    if len(vector) > LONGEST_VECTOR:
        return None
    try:
        if vector.startswith("CVSS:4"):
            return 4, float(CVSS4(vector).base_score)
        if vector.startswith("CVSS:3"):
            return 3, float(CVSS3(vector).base_score)
        return 2, float(CVSS2(vector).base_score)
    except (CVSSError, ValueError, ArithmeticError, KeyError, IndexError, AttributeError):
        return None
