"""The form of any kind of health check, made from what its config is: shown, read, told apart."""

import json
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from mainstay_server.kernel.problems import Invalid

Input = Literal["text", "number", "toggle", "select", "secret", "area", "lines", "pairs", "json"]

# Asked first, where a kind has them; the rest waits under "More".
ASKED_FIRST = frozenset(
    {"method", "page", "steps", "secrets", "variables", "host", "port", "name", "type", "user"}
    | {"password", "database", "query", "expect", "service", "domain", "starttls", "path"}
)
# A page mostly needs none of it.
SECOND_OF_PAGES = frozenset({"secrets", "password"})
LONG = frozenset({"body", "send", "query", "client_certificate", "expect_body"})
ABBREVIATIONS = {"tls": "TLS", "ip": "IP", "url": "URL", "dnssec": "DNSSEC", "ms": "(ms)"}
HINTS = {
    "headers": "One a line: name: value. {{name}} stands for a secret.",
    "variables": "One a line: name: value. {{name}} stands for it in every step.",
    "secrets": "One a line: name: value. Kept sealed and shown to nobody; {{name}} stands for it.",
    "accepted_statuses": "One a line: 204, or 200-299. Without any, all below 400.",
    "body": "{{name}} stands for a secret.",
    "redirect_to": "Must be part of the address that a redirect leads to.",
    "client_certificate": "PEM: the certificate, its chain and its key.",
    "health_document": "A JSON answer with a status decides, and its parts become lines.",
    "fail_on_console_errors": "What the page writes to its console as an error is a failure.",
}
SHOWN_LINES = 3


@dataclass(frozen=True, kw_only=True)
class FormField:
    """One input. `name` is as the form sends it, `member` as errors name it."""

    name: str
    member: str
    label: str
    input: Input
    value: str
    first: bool
    required: bool
    hint: str = ""
    options: tuple[tuple[str, str], ...] = ()
    is_set: bool = False
    rows: int = SHOWN_LINES


def fields_of(
    config: type[BaseModel],
    shown: Mapping[str, Any],
    *,
    secrets: Collection[str] = (),
    without: Collection[str] = (),
) -> list[FormField]:
    """The inputs of a config. `shown` is one as the API shows it, or empty for a new one."""
    is_page = "url" in without and "url" in config.model_fields
    first = ASKED_FIRST - SECOND_OF_PAGES if is_page else ASKED_FIRST
    return [
        _field(name, field, shown, secrets, first=field.is_required() or name in first)
        for name, field in config.model_fields.items()
        if name not in without
    ]


def config_in(
    config: type[BaseModel], sent: Mapping[str, str], *, without: Collection[str] = ()
) -> dict[str, Any]:
    """The config that a form holds, as the API takes it; raises `Invalid` for what is no such.

    What was left empty is left out, and so keeps its default, or a secret its value.
    """
    found: dict[str, Any] = {}
    for name, field in config.model_fields.items():
        if name in without:
            continue
        alias = field.alias or name
        value = _value(_input_of(name, field), alias, sent.get(f"config.{name}", ""))
        if value is not None:
            found[alias] = value
    return found


def lines_in(text: str) -> list[str]:
    """Each line that is not blank, without what surrounds it."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def _field(
    name: str,
    field: FieldInfo,
    shown: Mapping[str, Any],
    secrets: Collection[str],
    *,
    first: bool,
) -> FormField:
    alias = field.alias or name
    kind = _input_of(name, field)
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    value = _as_text(kind, shown.get(alias, default))
    set_ones = [path for path in secrets if path == alias or path.startswith(f"{alias}.")]
    hint = field.description or HINTS.get(name, "")
    if set_ones and kind == "pairs":
        named = ", ".join(path.rpartition(".")[2] for path in set_ones)
        hint = f"{hint} Set and kept: {named}. Give one again to change it."
    return FormField(
        name=f"config.{name}",
        member=f"config.{alias}",
        label=_label(name),
        input=kind,
        value=value,
        first=first,
        required=field.is_required() and not set_ones,
        hint=hint,
        options=_options(field),
        is_set=bool(set_ones),
        rows=max(SHOWN_LINES, min(value.count("\n") + 2, 24)),
    )


def _input_of(name: str, field: FieldInfo) -> Input:
    bare = _bare(field.annotation)
    if get_origin(bare) is dict:
        return "pairs"
    if get_origin(bare) is list:
        item = _bare(get_args(bare)[0])
        return "json" if isinstance(item, type) and issubclass(item, BaseModel) else "lines"
    if get_origin(bare) is Literal:
        return "select"
    if bare is SecretStr:
        return "secret" if name not in LONG else "area"
    plain: dict[object, Input] = {bool: "toggle", int: "number", float: "number"}
    return plain.get(bare, "area" if name in LONG else "text")


def _bare(annotation: Any) -> Any:  # noqa: ANN401 - types are values here
    """A type without what annotates it, and without the None beside it."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in (Union, types.UnionType):
            annotation = next(each for each in get_args(annotation) if each is not type(None))
        else:
            return annotation


def _options(field: FieldInfo) -> tuple[tuple[str, str], ...]:
    bare = _bare(field.annotation)
    if get_origin(bare) is not Literal:
        return ()
    return tuple((str(each), str(each) or "none") for each in get_args(bare))


def _label(name: str) -> str:
    words = [ABBREVIATIONS.get(word, word) for word in name.split("_")]
    text = " ".join(words)
    return text[0].upper() + text[1:]


def _as_text(kind: Input, value: Any) -> str:  # noqa: ANN401 - whatever a config holds
    if value is None or isinstance(value, SecretStr):
        return ""
    if kind == "toggle":
        return "on" if value else ""
    if kind == "lines":
        return "\n".join(str(each) for each in value)
    if kind == "pairs":
        return "\n".join(f"{name}: {each}" for name, each in value.items())
    if kind == "json":
        return json.dumps(value, indent=2, ensure_ascii=False) if value else ""
    return str(value)


def _value(kind: Input, member: str, text: str) -> Any:  # noqa: ANN401 - as the API takes it
    """What was typed, as the API takes it; None where nothing was."""
    if kind == "toggle":
        return text == "on"
    if kind not in ("text", "area"):
        text = text.strip()
    if not text:
        return None
    readers: dict[str, Callable[[], Any]] = {
        "number": lambda: _number(member, text),
        "lines": lambda: lines_in(text),
        "pairs": lambda: _pairs(member, lines_in(text)),
        "json": lambda: _json(member, text),
    }
    return readers[kind]() if kind in readers else text


def _number(member: str, text: str) -> int | float:
    try:
        return int(text) if text.lstrip("-").isdecimal() else float(text)
    except ValueError:
        raise _refused(member, f"{text[:20]!r} is no number") from None


def _pairs(member: str, lines: Sequence[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        name, mark, value = line.partition(":")
        if not mark:
            raise _refused(member, f"the line {line[:40]!r} has no colon")
        found[name.strip()] = value.strip()
    return found


def _json(member: str, text: str) -> Any:  # noqa: ANN401 - whatever JSON it is
    try:
        return json.loads(text)
    except ValueError as error:
        raise _refused(member, f"this is no JSON: {error}") from None


def _refused(member: str, why: str) -> Invalid:
    return Invalid(
        f"config.{member}: {why}.", errors=[{"field": f"config.{member}", "message": why}]
    )
