"""What people write of routing, as it is kept: names, matchers, labels and times of quiet."""

from collections.abc import Mapping, Sequence
from typing import Any

from mainstay_server.kernel.matchers import parse_matchers, written
from mainstay_server.kernel.problems import Conflict, Invalid

from . import muting

MOST_LABELS = 20
LONGEST_LABEL = 200


def checked_name(name: str, taken: set[str]) -> str:
    """A name as it is kept. Raises `Invalid` for none, `Conflict` for one that is taken."""
    wanted = " ".join(name.split())
    if not wanted:
        raise invalid("name", "is missing; call it after what it is for")
    if wanted in taken:
        raise Conflict(f"There is one called {wanted!r}; give this one another name.")
    return wanted


def kept_matchers(field: str, text: str, *, empty: bool) -> str:
    """Matchers as they are kept: in one spelling, without the braces."""
    try:
        found = parse_matchers(text)
    except Invalid as refused:
        raise Invalid.of_field(field, refused.detail) from None
    if not found and not empty:
        raise invalid(field, 'must name a label at least, such as severity="critical"')
    return written(found)[1:-1]


def checked_quiet(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is given of when something is quiet, as it is kept. Raises `Invalid`."""
    kept = dict(given)
    if "mute_times" in kept:
        muting.spans_of(kept["mute_times"])
        kept["mute_times"] = " ".join(kept["mute_times"].split())
    if "time_zone" in kept:
        muting.zone_of(kept["time_zone"])
    return kept


def checked_labels(field: str, names: Sequence[str]) -> list[str]:
    """Names of labels, each once. Raises `Invalid` for too many, or for one that is too long."""
    kept = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    if len(kept) > MOST_LABELS or any(len(name) > LONGEST_LABEL for name in kept):
        raise invalid(field, f"has at most {MOST_LABELS} names of {LONGEST_LABEL} characters")
    return kept


def invalid(field: str, what: str) -> Invalid:
    """The refusal of one field: what it must be, or is."""
    return Invalid.of_field(field, f"{field} {what}.")
