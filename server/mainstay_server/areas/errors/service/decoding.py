"""Decoding error events: only the fields that are needed, and whatever of them can be read."""

import base64
import binascii
import json
import re
import zlib
from typing import Any, get_args, get_type_hints

import msgspec

from mainstay_server.kernel.problems import Invalid, TooLarge

Words = dict[str, Any] | list[Any] | str | int | float | bool | None


class Frame(msgspec.Struct, gc=False):
    """One call of a stack, as far as grouping cares."""

    function: str | None = None
    module: str | None = None
    filename: str | None = None
    abs_path: str | None = None
    context_line: str | None = None
    in_app: bool | None = None


class Stack(msgspec.Struct, gc=False):
    """The calls of a thread or exception, the oldest first."""

    frames: list[Frame | None] | None = None


class ExceptionValue(msgspec.Struct, gc=False):
    """One exception of a chain."""

    type: str | None = None
    value: Words = None
    module: str | None = None
    stacktrace: Stack | None = None


class ExceptionList(msgspec.Struct, gc=False):
    """The chain of exceptions, the cause first."""

    values: list[ExceptionValue | None] | None = None


class Thread(msgspec.Struct, gc=False):
    """One thread of the process."""

    crashed: bool | None = None
    current: bool | None = None
    stacktrace: Stack | None = None


class ThreadList(msgspec.Struct, gc=False):
    """All threads of the process."""

    values: list[Thread | None] | None = None


class LogEntry(msgspec.Struct, gc=False):
    """A log message: the template, and what it became."""

    message: str | None = None
    formatted: str | None = None


class User(msgspec.Struct, gc=False):
    """Who it happened to."""

    id: str | int | None = None
    email: str | None = None
    ip_address: str | None = None
    username: str | None = None


class Sdk(msgspec.Struct, gc=False):
    """Who sent it."""

    name: str | None = None
    version: str | None = None


class Trace(msgspec.Struct, gc=False):
    """The trace it happened in."""

    trace_id: str | None = None


class Contexts(msgspec.Struct, gc=False):
    """What surrounded it."""

    trace: Trace | None = None


class ErrorEvent(msgspec.Struct, gc=False):
    """An error event in the shapes that SDKs send; every field may be missing."""

    event_id: str | None = None
    timestamp: float | str | None = None
    level: str | None = None
    platform: str | None = None
    release: str | None = None
    environment: str | None = None
    transaction: str | None = None
    server_name: str | None = None
    logger: str | None = None
    culprit: str | None = None
    message: LogEntry | str | None = None
    logentry: LogEntry | str | None = None
    exception: ExceptionList | list[ExceptionValue | None] | None = None
    threads: ThreadList | list[Thread | None] | None = None
    stacktrace: Stack | None = None
    fingerprint: list[str | int | float | bool | None] | None = None
    tags: dict[str, Words] | list[Any] | None = None
    user: User | None = None
    sdk: Sdk | None = None
    contexts: Contexts | None = None

    @property
    def exceptions(self) -> list[ExceptionValue]:
        """The chain of exceptions, the cause first."""
        return _values(self.exception)

    @property
    def stack_of_thread(self) -> Stack | None:
        """The stack of the thread that crashed, or else of the current one."""
        threads: list[Thread] = _values(self.threads)
        threads.sort(key=lambda thread: (not thread.crashed, not thread.current))
        return threads[0].stacktrace if threads else self.stacktrace


_decoder = msgspec.json.Decoder(ErrorEvent)
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


def decode_event(payload: bytes) -> tuple[ErrorEvent, bytes]:
    """Read an event, and return it with the payload as valid JSON in UTF-8.

    What SDKs send is read in one pass. A field of a wrong type is left out, never the event; what
    old clients write into JSON (NaN, Infinity, half surrogates, broken UTF-8) is mended.

    Raises `Invalid` when it is no JSON object.
    """
    try:
        event = _decoder.decode(payload)
        payload.decode()  # the decoder does not look into what it skips
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError):
        return _decode_leniently(payload)
    except RecursionError as error:
        raise Invalid("The event is nested too deeply.") from error
    return event, payload


def unpack_stored(body: bytes, *, most_bytes: int) -> bytes:
    """Undo what old clients do to the body of `store/`: zlib, in base64 or not."""
    text = body.strip()
    if not text or text[:1] == b"{":
        return body
    try:
        packed = text if text[0] & 0x0F == zlib.DEFLATED else base64.b64decode(text)
        if packed[:1] == b"{":
            return packed
        unpacking = zlib.decompressobj()
        plain = unpacking.decompress(packed, most_bytes + 1)
    except (binascii.Error, zlib.error) as error:
        raise Invalid("The event is neither JSON nor base64 of zlib of JSON.") from error
    if len(plain) > most_bytes:
        raise TooLarge(f"The event is over the limit of {most_bytes} bytes.")
    if not unpacking.eof:
        raise Invalid("The compressed event ends early; send all of it.")
    return plain


def _decode_leniently(payload: bytes) -> tuple[ErrorEvent, bytes]:
    try:
        found = json.loads(payload.decode("utf-8", "replace"), parse_constant=lambda _: None)
        if not isinstance(found, dict):
            raise Invalid("The event is not a JSON object.")
        text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
        mended = _LONE_SURROGATE.sub("\ufffd", text).encode()
        plain = msgspec.json.decode(mended)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise Invalid(f"The event is not JSON: {error}") from error
    return what_fits(plain, ErrorEvent) or ErrorEvent(), mended


def what_fits(value: object, kind: Any) -> Any:  # noqa: ANN401 - any type of a field above
    """Make a value of a type of what fits into it: parts of a wrong type are left out.

    None when nothing fits. A number or truth value is taken as text where text is wanted.
    """
    try:
        return msgspec.convert(value, kind, strict=False)
    except (msgspec.ValidationError, RecursionError):
        pass
    options = get_args(kind) if _is_union(kind) else (kind,)
    if isinstance(value, dict):
        for option in options:
            if isinstance(option, type) and issubclass(option, msgspec.Struct):
                return _struct_of(value, option)
    if isinstance(value, list):
        for option in options:
            if getattr(option, "__origin__", None) is list:
                made = (what_fits(part, get_args(option)[0]) for part in value)
                return [part for part in made if part is not None]
    return str(value) if str in options and isinstance(value, int | float | bool) else None


def _struct_of(value: dict[str, Any], kind: type[msgspec.Struct]) -> msgspec.Struct:
    hints = get_type_hints(kind)
    return kind(**{name: what_fits(value[name], hints[name]) for name in hints if name in value})


def _is_union(kind: object) -> bool:
    return type(None) in get_args(kind)


def _values(given: Any) -> list[Any]:  # noqa: ANN401 - any of the two shapes of a list
    values = given if isinstance(given, list) else (given.values if given is not None else None)
    return [value for value in values or () if value is not None]
