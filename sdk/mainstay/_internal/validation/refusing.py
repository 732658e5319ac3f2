"""Refusals of what is sent: problem documents of the same form as the guard's."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final
from urllib.parse import quote

from mainstay._internal.guard.refusals import Fault, Refusal

MOST_FAULTS: Final = 20
_LONGEST_DETAIL = 300

# Where a value is: the place of what it is in, and its name or its number there.
Place = tuple["Place | None", "str | int"]


class Invalid(ValueError):
    """What was sent is refused.

    ``refusal`` has the ``status`` (413, 415, 400 or 422), a stable ``code``, a ``detail`` and the
    ``errors``; ``refusal.body()`` is the problem document (RFC 9457), and
    ``refusal.all_headers(body)`` what goes with it.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


class Wrong(Exception):
    """What was sent does not have the meaning that it should have."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults[0].detail)
        self.faults = faults


def pointer_to(tokens: Iterable[object]) -> str:
    """Return a JSON pointer as the fragment of an address (RFC 6901 §6)."""
    escaped = (str(token).replace("~", "~0").replace("/", "~1") for token in tokens)
    return "#" + "".join(
        "/" + quote(token, safe="~!$&'()*+,;=:@", errors="replace") for token in escaped
    )


def pointer_of(place: Place | None) -> str:
    """Return the pointer to a place."""
    tokens: list[str | int] = []
    while place is not None:
        place, token = place
        tokens.append(token)
    return pointer_to(reversed(tokens))


def fault(detail: str, place: Place | None = None) -> Fault:
    """Return a fault at a place."""
    return Fault(detail[:_LONGEST_DETAIL], pointer_of(place))


def content_type_unsupported(taken: Sequence[str]) -> Invalid:
    """The body says of itself that it is something that nobody here reads."""
    names = ", ".join(taken)
    detail = f"Send the body as {names}, in UTF-8."
    return Invalid(Refusal(415, "content-type-unsupported", detail, headers=(("accept", names),)))


def content_encoding_unsupported() -> Invalid:
    """The body is compressed."""
    return Invalid(
        Refusal(
            415,
            "content-encoding-unsupported",
            "Send the body as it is, without a Content-Encoding.",
            headers=(("accept-encoding", "identity"),),
        )
    )


def malformed(what: str, detail: str, place: Place | None = None) -> Invalid:
    """It is not what it says it is."""
    said = f"The {what} is not well formed; mend it and send it again."
    return Invalid(Refusal(400, f"{what}-malformed", said, errors=(fault(detail, place),)))


def too_complex(what: str, detail: str, place: Place | None = None) -> Invalid:
    """It is well formed, and more than anybody here takes."""
    said = f"The {what} holds more than is taken; send less at once."
    return Invalid(Refusal(400, f"{what}-too-complex", said, errors=(fault(detail, place),)))


def meaningless(what: str, faults: Sequence[Fault]) -> Invalid:
    """It is well formed, and not what is asked for."""
    told = tuple(
        Fault(one.detail[:_LONGEST_DETAIL], one.pointer) for one in islice(faults, MOST_FAULTS)
    )
    said = f"The {what} is not what is asked for here; see errors, and send it again."
    return Invalid(Refusal(422, f"{what}-invalid", said, errors=told))
