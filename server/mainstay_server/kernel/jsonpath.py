"""JSONPath (RFC 9535) over documents that strangers wrote: bounded, and without their patterns.

`$.a.b[0]["c d"]` is walked here, because that is what nearly everybody writes, also with a hyphen
in a name; wildcards, slices, descendants and filters are the library's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jsonpath

LONGEST_PATH = 500
MOST_FOUND = 1_000
_SEGMENT = re.compile(
    r"""\.(?P<name>[^\W\d][\w-]*) | \[(?P<index>-?\d{1,9})\]
    | \[(?P<quote>["'])(?P<quoted>[^"'\\]*)(?P=quote)\]""",
    re.VERBOSE,
)


def _environment() -> jsonpath.JSONPathEnvironment:
    found = jsonpath.JSONPathEnvironment()
    # They take regular expressions, which a pattern made for it can keep busy for hours.
    for name in ("match", "search"):
        found.function_extensions.pop(name, None)
    return found


_ENVIRONMENT = _environment()


@dataclass(frozen=True)
class Path:
    """A path that was understood. `steps` are those of a plain one, else `query` finds them."""

    text: str
    steps: tuple[str | int, ...] = ()
    query: jsonpath.JSONPath | jsonpath.CompoundJSONPath | None = None

    @property
    def is_single(self) -> bool:
        """Whether it leads to one place at most."""
        return self.query is None or (
            isinstance(self.query, jsonpath.JSONPath) and self.query.singular_query()
        )

    def find(self, document: object) -> list[Any]:
        """What lies there, in the document's order, at most 1,000."""
        if self.query is not None:
            found: list[Any] = []
            for match in self.query.finditer(document):  # type: ignore[arg-type]  # any JSON
                found.append(match.obj)
                if len(found) == MOST_FOUND:
                    break
            return found
        at: Any = document
        for step in self.steps:
            if not _has(at, step):
                return []
            at = at[step]
        return [at]


@lru_cache(maxsize=2_000)
def parse(text: str) -> Path:
    """Understand a path that begins with `$`; raises ValueError, which says where it ends."""
    if len(text) > LONGEST_PATH:
        raise ValueError(f"a path has at most {LONGEST_PATH} characters")
    if not text.startswith("$"):
        raise ValueError("a path begins with $, as in $.items[0].id")
    steps, at = [], 1
    while at < len(text):
        found = _SEGMENT.match(text, at)
        if found is None:
            return _by_library(text)
        index = found["index"]
        steps.append(int(index) if index else (found["name"] or found["quoted"] or ""))
        at = found.end()
    return Path(text, steps=tuple(steps))


def _by_library(text: str) -> Path:
    if "=~" in text:
        raise ValueError(f"{text!r} is no JSONPath that is read here: it has a pattern (=~)")
    try:
        return Path(text, query=_ENVIRONMENT.compile(text))
    except (jsonpath.JSONPathError, RecursionError) as error:
        why = str(error).partition("\n")[0] or "it is nested too deeply"
        raise ValueError(f"{text!r} is no JSONPath: {why}") from None


def _has(value: object, step: str | int) -> bool:
    if isinstance(step, str):
        return isinstance(value, Mapping) and step in value
    return isinstance(value, list) and -len(value) <= step < len(value)
