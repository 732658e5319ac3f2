"""What a condition is made of, once it was understood."""

from dataclasses import dataclass, field
from typing import Any

from mainstay_server.kernel.jsonpath import Path

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Duration:
    """A length of time as a person writes it, in milliseconds."""

    ms: float


@dataclass(frozen=True)
class Literal:
    """A value that was written down; `text` is how."""

    text: str
    value: Scalar | Duration
    bare: bool = False


@dataclass(frozen=True)
class Name:
    """A value of the answer, such as `[BODY].items[0]`; `key` is that of a header."""

    text: str
    name: str
    path: Path | None = None
    key: str = ""


@dataclass(frozen=True)
class Call:
    """A function of one operand (`len`, `has`), or a choice of several (`any`)."""

    text: str
    function: str
    arguments: "tuple[Operand, ...]"


@dataclass(frozen=True)
class Pattern:
    """A pattern that was compiled: of `matches`, or the wildcards of `pat`."""

    text: str
    compiled: Any = field(repr=False)


Operand = Literal | Name | Call | Pattern


@dataclass(frozen=True)
class Condition:
    """One condition: two operands and what is between them, or one that must be true.

    `degrades` when an answer of which it does not hold is degraded rather than unhealthy.
    """

    text: str
    left: Operand
    operator: str = ""
    right: Operand | None = None
    degrades: bool = False
