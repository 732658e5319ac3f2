"""Alertmanager's matchers: read in each of its spellings, joined, and turned round."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from typing_extensions import override

from .drafts import Unreadable
from .lined import Settings

OPPOSITE = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}
QUOTED = r'"((?:[^"\\]|\\.)*)"'
PIECE = re.compile(
    rf"""\s*(?:{QUOTED}|([^{{}}!=~,\\"'`\s]+))\s*(=~|!~|!=|=)\s*(?:{QUOTED}|([^",]*))\s*(?:,|$)""",
    re.DOTALL,
)
ESCAPE = re.compile(r'\\([n"\\])')
WRITTEN = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}
PLAIN_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LONGEST_TEXT = 20_000


@dataclass(frozen=True)
class Matcher:
    """One comparison of a label; an absent label is the empty text."""

    name: str
    operator: str
    value: str

    @property
    def opposite(self) -> Self:
        """What holds exactly where this does not."""
        return type(self)(self.name, OPPOSITE[self.operator], self.value)

    @override
    def __str__(self) -> str:
        name = self.name if PLAIN_NAME.fullmatch(self.name) else _quoted(self.name)
        return f"{name}{self.operator}{_quoted(self.value)}"


Matchers = tuple[Matcher, ...]


def read_matchers(told: Settings, *, old: str = "match", new: str = "matchers") -> Matchers:
    """All that a route or one side of an inhibition compares. Raises `Unreadable`."""
    found = [Matcher(name, "=", value) for name, value in _pairs(told, old)]
    found += [Matcher(name, "=~", value) for name, value in _pairs(told, f"{old}_re")]
    for text in told.texts(new):
        found += _parsed(text, told.line_of(new))
    return tuple(dict.fromkeys(found))


def joined(*parts: Sequence[Matcher]) -> Matchers | None:
    """All matchers together without what says nothing more; None where none can fit all.

    Two texts that one label should be, or an expression that it should fit and not fit, are seen;
    what expressions mean is left to who evaluates them.
    """
    every = tuple(dict.fromkeys(one for part in parts for one in part))
    equal = {one.name: one.value for one in every if one.operator == "="}
    kept = []
    for one in every:
        if one.opposite in every:
            return None
        if one.name in equal and one.operator in ("=", "!="):
            same = one.value == equal[one.name]
            if same is not (one.operator == "="):
                return None
            if one.operator == "!=":
                continue
        kept.append(one)
    return tuple(kept)


def without(cases: Sequence[Matchers], matchers: Matchers) -> list[Matchers]:
    """The cases less what fits all of the matchers; no two cases of one overlap."""
    left = []
    for case in cases:
        for number, one in enumerate(matchers):
            found = joined(case, matchers[:number], [one.opposite])
            if found is not None:
                left.append(found)
    return left


def written(matchers: Matchers) -> str:
    """Matchers as a document writes them."""
    return ",".join(map(str, matchers))


def _pairs(told: Settings, key: str) -> list[tuple[str, str]]:
    section = told.section(key)
    return [(name, section.text(name)) for name in section]


def _parsed(text: str, line: int) -> list[Matcher]:
    inner = text.strip()
    if inner.startswith("{"):
        if not inner.endswith("}"):
            raise Unreadable(f"Line {line}: a matcher's brace is not closed.")
        inner = inner[1:-1].strip()
    found, at = [], 0
    while at < len(inner):
        piece = PIECE.match(inner, at)
        if piece is None or len(inner) > LONGEST_TEXT:
            raise Unreadable(
                f'Line {line}: a matcher cannot be read; write it as severity="critical".'
            )
        quoted_name, name, operator, quoted, plain = piece.groups()
        label = name if quoted_name is None else _unescaped(quoted_name)
        value = plain.strip() if quoted is None else quoted
        found.append(Matcher(label, operator, _unescaped(value)))
        at = piece.end()
    return found


def _unescaped(text: str) -> str:
    return ESCAPE.sub(lambda found: "\n" if found[1] == "n" else found[1], text)


def _quoted(text: str) -> str:
    return '"' + "".join(WRITTEN.get(letter, letter) for letter in text) + '"'
