"""Understanding a condition: once, into terms; what is wrong is said with its place."""

import re
from functools import lru_cache
from typing import NoReturn

import re2

from mainstay_server.kernel import jsonpath
from mainstay_server.kernel.conditions.terms import (
    Call,
    Condition,
    Duration,
    Literal,
    Name,
    Operand,
    Pattern,
    Scalar,
)

LONGEST_CONDITION = 500
MOST_CHOICES = 50
DEGRADES = re.compile(r"\s+or\s+degraded\s*$")
NAME = re.compile(r"\[([A-Z][A-Z0-9_]*)\]")
FUNCTION = re.compile(r"(len|has|any|pat)\(")
OPERATOR = re.compile(r"\s*(==|!=|<=|>=|<|>|(?:not\s+)?(?:contains|matches)(?=[\s\"'\[]|$))\s*")
NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d{1,18})?$")
DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)")
MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
WORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class ConditionError(ValueError):
    """A condition that makes no sense; the text says where and what to write instead."""


@lru_cache(maxsize=5_000)
def parse(text: str) -> Condition:
    """Understand one condition; raises `ConditionError`."""
    if len(text) > LONGEST_CONDITION:
        raise ConditionError(f"a condition has at most {LONGEST_CONDITION} characters")
    return _Reader(text).condition()


def names_in(condition: Condition) -> frozenset[str]:
    """The names it speaks of, as `STATUS` and `BODY`."""
    return frozenset(_names_in(condition.left)) | frozenset(_names_in(condition.right))


def _names_in(operand: Operand | None) -> list[str]:
    if isinstance(operand, Name):
        return [operand.name]
    if isinstance(operand, Call):
        return [name for each in operand.arguments for name in _names_in(each)]
    return []


class _Reader:
    """Reads a condition from left to right."""

    def __init__(self, text: str) -> None:
        self.whole = text.strip()
        self.degrades = DEGRADES.search(self.whole) is not None
        self.text = DEGRADES.sub("", self.whole)
        self.at = 0

    def condition(self) -> Condition:
        if not self.text:
            self._fail("there is nothing; write a condition such as [STATUS] == 200")
        left = self._operand(is_left=True)
        found = OPERATOR.match(self.text, self.at)
        if found is None:
            return self._alone(left)
        self.at = found.end()
        operator = " ".join(found[1].split())
        if operator.endswith("matches"):
            right: Operand = self._pattern()
        else:
            right = self._operand()
        self._skip()
        if self.at < len(self.text):
            self._fail(f"{self.text[self.at :]!r} is too much; one condition compares two things")
        return Condition(self.whole, left, operator, right, self.degrades)

    def _alone(self, left: Operand) -> Condition:
        self._skip()
        if self.at < len(self.text):
            self._fail("an operator is missing; write one of == != < <= > >= contains matches")
        if isinstance(left, Literal | Pattern):
            self._fail("nothing is compared; write a condition such as [STATUS] == 200")
        return Condition(self.whole, left, degrades=self.degrades)

    def _operand(self, *, is_left: bool = False, inside: bool = False) -> Operand:
        self._skip()
        if self.at >= len(self.text):
            self._fail("something is missing here; compare with a value, such as 200")
        if self.text[self.at] in "\"'":
            began = self.at
            value = self._quoted()
            return Literal(self.text[began : self.at], value)
        if NAME.match(self.text, self.at):
            return self._name()
        found = FUNCTION.match(self.text, self.at)
        if found is not None:
            return self._call(found[1])
        return self._bare(is_left=is_left, inside=inside)

    def _name(self) -> Name:
        began = self.at
        found = NAME.match(self.text, self.at)
        assert found is not None, "it was looked at before"
        self.at = found.end()
        path = self._path()
        whole = self.text[began : self.at]
        if not path:
            return Name(whole, found[1])
        if found[1] == "HEADER":
            return Name(whole, found[1], key=path.removeprefix(".").strip("[]\"'").lower())
        try:
            return Name(whole, found[1], path=jsonpath.parse("$" + path))
        except ValueError as error:
            self.at = found.end()
            self._fail(f"{error}; write a path such as [BODY].items[0].id")

    def _path(self) -> str:
        """What follows a name without a blank: up to one, or to what ends an argument."""
        began, depth, quote = self.at, 0, ""
        while self.at < len(self.text):
            letter = self.text[self.at]
            if quote:
                quote = "" if letter == quote else quote
            elif depth and letter in "\"'":
                quote = letter
            elif letter in "[(":
                depth += 1
            elif letter in "])" and depth:
                depth -= 1
            elif not depth and (letter.isspace() or letter in ",)=!<>"):
                break
            self.at += 1
        return self.text[began : self.at]

    def _call(self, function: str) -> Operand:
        began = self.at
        self.at += len(function) + 1
        if function == "pat":
            return self._wildcards(began)
        arguments = [self._operand(inside=True)]
        self._skip()
        while function == "any" and self.text[self.at : self.at + 1] == ",":
            self.at += 1
            arguments.append(self._operand(inside=True))
            self._skip()
        if len(arguments) > MOST_CHOICES:
            self._fail(f"any takes at most {MOST_CHOICES} values")
        if self.text[self.at : self.at + 1] != ")":
            self._fail(f"{function}( is not closed; write )")
        self.at += 1
        return Call(self.text[began : self.at], function, tuple(arguments))

    def _wildcards(self, began: int) -> Pattern:
        """The text in `pat(…)`, where * stands for anything and ? for one letter."""
        end = self.text.find(")", self.at)
        if end < 0:
            self._fail("pat( is not closed; write )")
        parts = re.split(r"([*?])", self.text[self.at : end].strip())
        meant = {"*": ".*", "?": "."}
        pattern = "".join(meant.get(part) or re2.escape(part) for part in parts)
        self.at = end + 1
        return Pattern(self.text[began : self.at], self._compiled(f"(?s)^{pattern}$"))

    def _pattern(self) -> Pattern:
        self._skip()
        began = self.at
        if self.text[self.at : self.at + 1] in ("'", '"'):
            pattern = self._quoted(raw=True)
        else:
            pattern, self.at = self.text[self.at :], len(self.text)
        if not pattern:
            self._fail('a pattern is missing; write one such as matches "v[0-9]+"')
        return Pattern(self.text[began : self.at], self._compiled(pattern))

    def _compiled(self, pattern: str) -> object:
        options = re2.Options()
        options.log_errors = False
        options.max_mem = 1 << 20
        try:
            return re2.compile(pattern, options)
        except re2.error as error:
            why = error.args[0].decode() if isinstance(error.args[0], bytes) else error.args[0]
            self._fail(f"the pattern is not understood: {why}; it is in the syntax of RE2")

    def _quoted(self, *, raw: bool = False) -> str:
        quote, began = self.text[self.at], self.at
        self.at += 1
        parts = []
        while self.at < len(self.text) and self.text[self.at] != quote:
            letter = self.text[self.at]
            following = self.text[self.at + 1 : self.at + 2]
            if letter == "\\" and following and not (raw and following != quote):
                letter = ESCAPES.get(following, following)
                self.at += 1
            parts.append(letter)
            self.at += 1
        if self.at >= len(self.text):
            self.at = began
            self._fail(f"the text is not closed; write {quote} behind it")
        self.at += 1
        return "".join(parts)

    def _bare(self, *, is_left: bool, inside: bool) -> Literal:
        """A value without quotes: up to the operator, the end of the argument, or all the rest."""
        end = len(self.text)
        if inside:
            end = min([n for n in (self.text.find(c, self.at) for c in ",)") if n >= 0] or [end])
        elif is_left:
            found = OPERATOR.search(self.text, self.at)
            end = found.start() if found else end
        text = self.text[self.at : end].strip()
        if not text:
            self._fail("something is missing here; write a value or a name such as [STATUS]")
        self.at = end
        return Literal(text, value_of(text), bare=True)

    def _skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def _fail(self, why: str) -> NoReturn:
        raise ConditionError(f"{self.whole!r}, character {self.at + 1}: {why}")


def value_of(text: str) -> Scalar | Duration:
    """What a value without quotes is: a number, a length of time, true, false, null, or text."""
    if text in WORDS:
        return WORDS[text]
    if NUMBER.match(text):
        return float(text) if "." in text else int(text)
    parts = DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return Duration(sum(float(number) * MS[unit] for number, unit in parts))
    return text
