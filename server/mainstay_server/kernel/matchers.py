"""Matchers: which sets of labels are meant, in the syntax of Alertmanager and its `amtool`.

`{alertname="Disk full", instance=~"db-.*", team!="web"}`: each compares one label with a text, or
with a regular expression that has to fit the whole value. A label that is absent is the empty text,
so `team!="web"` holds where there is no team. The braces may be left out. Names and values need
quotes only where they hold what the syntax itself uses: Alertmanager's older syntax, and its newer
one in which a quoted name may hold anything, are both understood.

Regular expressions are those of RE2, as Alertmanager's are: the time for one grows with the length
of the value only, so no expression, however ill meant, keeps a process busy.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, NoReturn

import re2
from typing_extensions import override

from mainstay_server.kernel.problems import Invalid

MOST_MATCHERS = 100
LONGEST_TEXT = 20_000
LONGEST_NAME = 200
LONGEST_VALUE = 2_000
LONGEST_EXPRESSION = 1_000
MOST_EXPRESSION_BYTES = 1 << 20
EXAMPLE = 'alertname="Disk full"'

PLAIN_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
BARE_NAME = re.compile(r"[^{}!=~,\\\"'`\s]+")
OPERATOR = re.compile(r"=~|!~|!=|=")
BLANK = re.compile(r"\s*")
ESCAPES = {"n": "\n"}
WRITTEN = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}


class Operator(StrEnum):
    """How a label is compared."""

    EQUAL = "="
    NOT_EQUAL = "!="
    FITS = "=~"
    FITS_NOT = "!~"

    @property
    def is_regex(self) -> bool:
        """Whether the value is a regular expression."""
        return self in (Operator.FITS, Operator.FITS_NOT)

    @property
    def is_equal(self) -> bool:
        """Whether what compares alike is meant, and not what differs."""
        return self in (Operator.EQUAL, Operator.FITS)

    @classmethod
    def of(cls, *, is_regex: bool, is_equal: bool) -> "Operator":
        """The operator as Alertmanager's API tells it apart."""
        if is_regex:
            return cls.FITS if is_equal else cls.FITS_NOT
        return cls.EQUAL if is_equal else cls.NOT_EQUAL


@dataclass(frozen=True)
class Matcher:
    """One comparison. Raises `Invalid` when it is made of what no matcher can be."""

    name: str
    operator: Operator
    value: str

    def __post_init__(self) -> None:
        if not self.name or len(self.name) > LONGEST_NAME:
            raise Invalid(
                f"A matcher needs the name of a label, of at most {LONGEST_NAME} characters;"
                f" write one as {EXAMPLE}."
            )
        longest = LONGEST_EXPRESSION if self.operator.is_regex else LONGEST_VALUE
        if len(self.value) > longest:
            raise Invalid(
                f"What the label {self.name!r} is compared with has {len(self.value)} characters,"
                f" at most {longest} are allowed; make several matchers or silences of it."
            )
        if self.operator.is_regex:
            compiled(self.value)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a set of labels is one of those meant; an absent label is the empty text."""
        found = labels.get(self.name, "")
        if self.operator.is_regex:
            same = compiled(self.value).fullmatch(found) is not None
        else:
            same = found == self.value
        return same is self.operator.is_equal

    @override
    def __str__(self) -> str:
        name = self.name if PLAIN_NAME.match(self.name) else _quoted(self.name)
        return f"{name}{self.operator.value}{_quoted(self.value)}"

    def to_json(self) -> dict[str, Any]:
        """The matcher as Alertmanager's API writes it."""
        return {
            "name": self.name,
            "value": self.value,
            "isRegex": self.operator.is_regex,
            "isEqual": self.operator.is_equal,
        }


def matcher_of(given: Mapping[str, Any]) -> Matcher:
    """A matcher from what `to_json` gave; without `isEqual` what compares alike is meant."""
    operator = Operator.of(
        is_regex=bool(given["isRegex"]), is_equal=bool(given.get("isEqual", True))
    )
    return Matcher(str(given["name"]), operator, str(given["value"]))


def matches_all(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether each matcher holds for a set of labels; where there is none, all sets are meant."""
    return all(matcher.matches(labels) for matcher in matchers)


def written(matchers: Iterable[Matcher]) -> str:
    """Matchers as text that `parse_matchers` reads alike: `{a="b",c=~"d.*"}`."""
    return "{" + ",".join(str(matcher) for matcher in matchers) + "}"


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """Read matchers; of nothing but blanks and braces come none.

    Raises `Invalid`, whose sentence says at which character and what to write instead.
    """
    if len(text) > LONGEST_TEXT:
        raise Invalid(f"Matchers have at most {LONGEST_TEXT} characters; leave some out.")
    return _Reader(text).matchers()


@lru_cache(maxsize=2_000)
def compiled(expression: str) -> Any:  # noqa: ANN401 - re2 tells no types
    """A regular expression of RE2, ready for use. Raises `Invalid` for one that is none."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MOST_EXPRESSION_BYTES
    try:
        return re2.compile(expression, options)
    except re2.error as error:
        said = error.args[0]
        why = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise Invalid(
            f"The regular expression {expression[:100]!r} is not understood: {why}."
            " Write it in the syntax of RE2."
        ) from None


def _quoted(text: str) -> str:
    return '"' + "".join(WRITTEN.get(letter, letter) for letter in text) + '"'


class _Reader:
    """Reads matchers from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.end = len(text.rstrip())
        self._skip()

    def matchers(self) -> tuple[Matcher, ...]:
        self._braces()
        found: list[Matcher] = []
        while self._skip() < self.end:
            if len(found) == MOST_MATCHERS:
                self._fail(f"these are more than {MOST_MATCHERS} matchers; leave some out")
            found.append(self._matcher())
            if self._skip() < self.end:
                if self.text[self.at] != ",":
                    self._fail("the value has ended; write a comma before the next matcher")
                self.at += 1
        return tuple(found)

    def _braces(self) -> None:
        """Step inside the braces around all of it, if it has them."""
        if self.text[self.at : self.at + 1] != "{":
            return
        if self.end - self.at < len("{}") or self.text[self.end - 1] != "}":
            self._fail("the brace is not closed; write } at the end")
        self.at += 1
        self.end -= 1

    def _matcher(self) -> Matcher:
        began = self.at
        name = self._name()
        self._skip()
        operator = OPERATOR.match(self.text, self.at, self.end)
        if operator is None:
            self._fail(f"an operator is missing; write one of = != =~ !~, such as {EXAMPLE}")
        self.at = operator.end()
        self._skip()
        value = self._value()
        try:
            return Matcher(name, Operator(operator[0]), value)
        except Invalid as refused:
            raise Invalid(f"At character {began + 1} of the matchers: {refused.detail}") from None

    def _name(self) -> str:
        if self.text[self.at] in "\"'`":
            return self._in_quotes()
        found = BARE_NAME.match(self.text, self.at, self.end)
        if found is None:
            self._fail(f"the name of a label is missing; write a matcher such as {EXAMPLE}")
        self.at = found.end()
        return found[0]

    def _value(self) -> str:
        if self.at < self.end and self.text[self.at] == '"':
            return self._in_quotes()
        return self._bare()

    def _in_quotes(self) -> str:
        began = self.at
        if self.text[began] != '"':
            self._fail('only " puts something in quotes; write that instead')
        self.at += 1
        letters = []
        while self.at < self.end and self.text[self.at] != '"':
            letters.append(self._letter())
        if self.at >= self.end:
            self.at = began
            self._fail('the quotes are not closed; write " behind it')
        self.at += 1
        return "".join(letters)

    def _bare(self) -> str:
        """A value without quotes: all up to the next comma."""
        letters = []
        while self.at < self.end and self.text[self.at] != ",":
            if self.text[self.at] == '"':
                self._fail('" stands inside a value; put all of the value in quotes')
            letters.append(self._letter())
        return "".join(letters).rstrip()

    def _letter(self) -> str:
        """The next letter; a backslash before one that needs none stands for itself."""
        letter, following = self.text[self.at], self.text[self.at + 1 : self.at + 2]
        self.at += 1
        if letter != "\\" or self.at >= self.end or following not in {"\\", '"', *ESCAPES}:
            return letter
        self.at += 1
        return ESCAPES.get(following, following)

    def _skip(self) -> int:
        found = BLANK.match(self.text, self.at, self.end)
        assert found is not None, "it fits nothing as well"
        self.at = found.end()
        return self.at

    def _fail(self, why: str) -> NoReturn:
        raise Invalid(f"At character {self.at + 1} of the matchers: {why}.")
