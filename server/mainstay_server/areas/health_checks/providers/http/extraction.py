"""What a step takes out of an answer and hands on, and the places where it is put in again."""

import functools
from typing import Annotated, Any, Literal

import msgspec
import re2
from pydantic import Field, model_validator
from typing_extensions import Self

from mainstay_server.areas.health_checks.schemas.places import Variable
from mainstay_server.kernel import jsonpath
from mainstay_server.kernel.outbound import Response
from mainstay_server.kernel.web.bodies import Body

LONGEST_EXPRESSION = 500
LONGEST_VALUE = 10_000


class NotFound(Exception):
    """The answer does not hold what was to be taken out of it; the text says why."""


class Extraction(Body):
    """Take one value out of an answer.

    `json` is a JSONPath (RFC 9535) of which the first match counts, `header` and `cookie` are
    names, `regex` is an RE2 expression of which the first group (or the whole match) counts. What
    is `secret` is shown nowhere; a cookie always is.
    """

    variable: Variable
    source: Literal["json", "header", "regex", "cookie"] = "json"
    expression: Annotated[str, Field(min_length=1, max_length=LONGEST_EXPRESSION)]
    secret: bool = False

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        if self.source == "json":
            jsonpath.parse(self.expression)
        elif self.source == "regex":
            _regex(self.expression)
        return self

    @property
    def is_hidden(self) -> bool:
        """Whether its value may be seen by nobody."""
        return self.secret or self.source == "cookie"


def extracted(wanted: Extraction, response: Response) -> str:
    """The value, as text; raises `NotFound` in words that name what was looked for."""
    value: str | None
    match wanted.source:
        case "json":
            value = _by_path(wanted.expression, response)
        case "regex":
            value = _by_regex(wanted.expression, response)
        case "header":
            value = response.headers.get(wanted.expression.lower())
        case "cookie":
            value = cookies_of(response).get(wanted.expression)
    if value is None:
        raise NotFound(f"found no {wanted.source} {wanted.expression} for {wanted.variable}")
    if len(value) > LONGEST_VALUE:
        raise NotFound(f"{wanted.variable} is longer than {LONGEST_VALUE:,} characters")
    return value


def cookies_of(response: Response) -> dict[str, str]:
    """The cookies that an answer sets, by name; what is set to nothing is there as empty."""
    found = {}
    for name, line in response.raw_headers:
        if name.lower() == "set-cookie":
            key, mark, value = line.partition(";")[0].partition("=")
            if mark:
                found[key.strip()] = value.strip().strip('"')
    return found


def document_of(response: Response) -> Any:  # noqa: ANN401 - whatever JSON it is
    """The body as JSON; None when it is none, or was cut."""
    if response.truncated:
        return None
    try:
        return msgspec.json.decode(response.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _by_path(expression: str, response: Response) -> str | None:
    document = document_of(response)
    if document is None:
        raise NotFound("did not answer with JSON")
    found = jsonpath.parse(expression).find(document)
    if not found:
        return None
    value = found[0]
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _by_regex(expression: str, response: Response) -> str | None:
    found = _regex(expression).search(response.body.decode(errors="replace"))
    if found is None:
        return None
    value: str | None = found.group(1) if found.groups() else found.group(0)
    return value


@functools.lru_cache(maxsize=1_000)
def _regex(expression: str) -> Any:  # noqa: ANN401 - re2 tells no types
    quiet = re2.Options()
    quiet.log_errors = False
    try:
        return re2.compile(expression, quiet)
    except re2.error as error:
        said = error.args[0]
        words = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise ValueError(f"{expression!r} is no regular expression: {words}") from None
