"""Rounding in templates of tenants: Jinja's own would work out 10 to the power of a billion."""

import math
from typing import Any

MOST_NUMBER = 1e15
MOST_PLACES = 15


def rounded(value: Any, precision: int = 0, method: str = "common") -> float:  # noqa: ANN401 - whatever the data holds
    """A number with so many places, by `common`, `ceil` or `floor`. Raises `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > MOST_NUMBER:
        raise ValueError("only numbers are rounded, and none that is too large")
    places = min(max(int(precision), -MOST_PLACES), MOST_PLACES)
    if method == "common":
        return round(value, places)
    if method not in ("ceil", "floor"):
        raise ValueError("a number is rounded by common, ceil or floor")
    whole = math.ceil if method == "ceil" else math.floor
    return float(whole(value * 10**places) / 10**places)
