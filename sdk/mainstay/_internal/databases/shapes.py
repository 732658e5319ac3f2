"""What statements have in common: their text without values, and how long they took."""

import re
from bisect import bisect_left
from typing import Final

LONGEST_READ = 10_000
LONGEST_SHAPE = 1_000

_NOISE = r"/\*.*?(?:\*/|\Z)|--[^\n]*|"
_TEXT = r"'(?:[^']|'')*(?:'|\Z)"
_TEXT_WITH_ESCAPES = r"'(?:[^'\\]|\\.|'')*\\?(?:'|\Z)"
_NUMBER = r"(?<![\w.$])(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)(?!\w)"
_PARAMETER = r"%\(\w+\)s|%s|\$\d+|(?<![:\w]):[A-Za-z_]\w*"
_CAST = r"(?:::[A-Za-z_]+(?:\(\d+\))?(?:\[\])?)?"

# The first alternative that fits wins, from left to right: text inside of text is text.
_IN_POSTGRES: Final = re.compile(
    rf"{_NOISE}"
    rf"(?P<value>(?:(?<!\w)[eE]{_TEXT_WITH_ESCAPES}|[xXbBnN]?{_TEXT}"
    r"|\$(?P<tag>[A-Za-z_]*)\$.*?(?:\$(?P=tag)\$|\Z)"
    rf"|{_PARAMETER}|\?|{_NUMBER}){_CAST})|(?P<kept>\"(?:[^\"]|\"\")*(?:\"|\Z))",
    re.DOTALL,
)
# In MySQL a backslash escapes, double quotes hold text too, and # begins a comment.
_IN_MYSQL: Final = re.compile(
    rf"{_NOISE}#[^\n]*|(?P<value>[xXbBnN]?{_TEXT_WITH_ESCAPES}"
    rf"|{_TEXT_WITH_ESCAPES.replace(chr(39), chr(34))}"
    rf"|{_PARAMETER}|\?|{_NUMBER})|(?P<kept>`(?:[^`]|``)*(?:`|\Z))",
    re.DOTALL,
)
_LISTS: Final = re.compile(r"\(\s*\?(?:\s*,\s*\?)*\s*\)(?:\s*,\s*\(\s*\?(?:\s*,\s*\?)*\s*\))*")
_SPACE: Final = re.compile(r"\s+")

# From 10 µs on, each bound 1.3 times the one before it: 62 of them reach 90 s.
_STEP = 1.3
BOUNDS: Final = tuple(1e-5 * _STEP**power for power in range(62))


def shape_of(statement: str, dialect: str) -> str:
    """Return a statement without its values, so that those alike become one.

    Text, numbers and parameters become ``?``, a list of them ``(?)`` however long, comments go.
    Only the first 10,000 characters are read. What is cut there inside of a text is a value, too.
    """
    pattern = _IN_MYSQL if dialect in ("mysql", "mariadb") else _IN_POSTGRES
    bare = pattern.sub(_without_value, statement[:LONGEST_READ])
    return _SPACE.sub(" ", _LISTS.sub("(?)", bare)).strip()[:LONGEST_SHAPE]


def _without_value(found: "re.Match[str]") -> str:
    if found["kept"] is not None:
        return found["kept"]
    return " " if found["value"] is None else "?"


class Histogram:
    """Durations in buckets that grow by 1.3: a quantile is off by 14 % at most, in half a KB."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1

    def quantile(self, share: float, *, longest: float) -> float:
        """Return how many seconds that share of the durations took at most."""
        rank = share * sum(self.counts)
        passed = 0
        for place, count in enumerate(self.counts):
            passed += count
            if count and passed >= rank:
                if place == len(BOUNDS):
                    return longest
                return float(min(BOUNDS[place] / _STEP**0.5, longest))
        return 0.0
