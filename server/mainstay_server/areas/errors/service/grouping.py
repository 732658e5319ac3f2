"""Grouping: which error events are the same error, and what that error is called.

A new rule is a function here and a line in `RULES`; a new thing that varies from one message to
the next is a line in `VARYING`. Either changes what is grouped together, so it also takes a new
`GROUPING` and a test.
"""

import hashlib
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from .decoding import ErrorEvent, Frame, Stack

GROUPING = "1"
"""The version of everything below. It is part of an issue's id: issues of an older version keep
their events, and new events begin new issues."""

DEFAULT_LEVEL = "error"
LEVELS = ("fatal", "error", "warning", "info", "debug")
LONGEST_LINE_THAT_TELLS = 200
LONGEST_MESSAGE = 1_000
MOST_FRAMES = 250
MOST_EXCEPTIONS = 50
MOST_PARTS = 50
LONGEST_NAME = 200
PLACES_REMEMBERED = 20_000

_DEFAULT = re.compile(r"\{\{\s*default\s*\}\}")
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+\b")
# Hashes in bundle names and numbers of anonymous functions differ from build to build.
_BUILD_HASH = re.compile(r"(?<=[.\-_])[0-9a-f]{8,}(?=[.\-_])|\?.*$")
_GENERATED = re.compile(r"\$\d+|(?<=lambda)\$?\d+(?:/0x[0-9a-f]+)?|(?<=anonymous)\d+")
_NAMELESS = frozenset(
    ("", "?", "<module>", "<lambda>", "<anonymous>", "anonymous", "{closure}", "<unknown>")
)

VARYING = (
    ("<email>", r"(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.-]*\w"),
    ("<url>", r"\b[a-z][a-z0-9+.-]{0,20}://[^\s\"'<>]+"),
    ("<uuid>", r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"),
    ("<date>", r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"),
    ("<time>", r"\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b"),
    ("<ip>", r"\b(?:\d{1,3}\.){3}\d{1,3}\b|\b(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{1,4}\b"),
    ("<hex>", r"\b0x[0-9a-fA-F]+\b|\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,}\b"),
    ("<quoted>", r"(?<!\w)'[^'\n]{1,200}'(?!\w)|\"[^\"\n]{1,200}\""),
    ("<number>", r"(?<!\w)[-+]?\d+(?:[.,]\d+)*(?:e[+-]?\d+)?"),
)
"""What stands for the same error in a message; the first that matches wins."""

_VARYING = re.compile(
    "|".join(f"(?P<v{i}>{pattern})" for i, (_, pattern) in enumerate(VARYING)), re.IGNORECASE
)
_NAMES = {f"v{i}": name for i, (name, _) in enumerate(VARYING)}


@dataclass(frozen=True, slots=True)
class Grouped:
    """What an event is the same as: a hash, and the words for it."""

    hash: str
    title: str
    culprit: str
    level: str


Parts = tuple[str, ...]


def group(event: ErrorEvent) -> Grouped:
    """Tell which error an event is one of. The same event gives the same answer everywhere."""
    digest = hashlib.blake2b("\x00".join(parts_of(event)).encode(), digest_size=16).hexdigest()
    return Grouped(digest, title_of(event), culprit_of(event), level_of(event))


@lru_cache(maxsize=PLACES_REMEMBERED)
def issue_id_of(project_id: str, grouping_hash: str) -> str:
    """The id of a project's issue: the same in every process, before anything was looked up."""
    name = f"{project_id}/{GROUPING}/{grouping_hash}".encode()
    digest = bytearray(hashlib.blake2b(name, digest_size=16).digest())
    digest[6] = digest[6] & 0x0F | 0x80  # RFC 9562 section 5.8: a UUID of one's own making
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))


def parts_of(event: ErrorEvent) -> Parts:
    """What the hash is made of: the answer of the first rule that has one."""
    given = by_fingerprint(event)
    return given if given is not None else _by_default(event)


def by_fingerprint(event: ErrorEvent) -> Parts | None:
    """The app said itself what belongs together; `{{ default }}` stands for the rules below."""
    given = [str(part)[:LONGEST_MESSAGE] for part in (event.fingerprint or ())[:MOST_PARTS]]
    if not given or (len(given) == 1 and _DEFAULT.fullmatch(given[0])):
        return None
    default = " ".join(_by_default(event)) if any(map(_DEFAULT.search, given)) else ""
    return ("fingerprint", *(_DEFAULT.sub(lambda _: default, part) for part in given))


def by_exception_stacks(event: ErrorEvent) -> Parts | None:
    """The types of the exceptions and where each was raised, if any has a stack."""
    chain = event.exceptions[-MOST_EXCEPTIONS:]
    places = [_places(exception.stacktrace) for exception in chain]
    if not any(places):
        return None
    parts = ["exception"]
    for exception, where in zip(chain, places, strict=True):
        parts += (exception.type or "", *where)
    return tuple(parts)


def by_exception_messages(event: ErrorEvent) -> Parts | None:
    """The types of the exceptions and what they say, without what varies."""
    chain = event.exceptions[-MOST_EXCEPTIONS:]
    if not chain:
        return None
    parts = ["exception message"]
    for exception in chain:
        parts += (exception.type or "", without_what_varies(_text(exception.value)))
    return tuple(parts)


def by_message(event: ErrorEvent) -> Parts | None:
    """What was logged: the template if there is one, else the words without what varies."""
    template, words = _message(event)
    if not template and not words:
        return None
    # A template from a client is worth more than ours, but only if it has places to fill in.
    told = without_what_varies(template or words)
    return ("message", told, event.logger or "", level_of(event))


def by_stack(event: ErrorEvent) -> Parts | None:
    """Where the thread stood, for an event that says nothing else."""
    where = _places(event.stack_of_thread)
    return ("stack", *where) if where else None


def by_transaction(event: ErrorEvent) -> Parts:
    """What is left of an empty event: where in the app it happened."""
    return ("nothing", event.transaction or event.culprit or "", event.platform or "")


RULES: tuple[Callable[[ErrorEvent], Parts | None], ...] = (
    by_exception_stacks,
    by_exception_messages,
    by_message,
    by_stack,
    by_transaction,
)
"""Asked in this order, unless the app sent a fingerprint; the first answer counts."""


def without_what_varies(text: str) -> str:
    """A message with numbers, ids, dates, addresses and quoted words replaced by what they are."""
    short = text[:LONGEST_MESSAGE]
    return " ".join(_VARYING.sub(lambda m: _NAMES[m.lastgroup or "v0"], short).split())


def title_of(event: ErrorEvent) -> str:
    """What people call it: `ZeroDivisionError: division by zero`, or the first line of a log."""
    chain = event.exceptions
    if chain:
        kind, said = chain[-1].type or "Error", _first_line(_text(chain[-1].value))
        return f"{kind}: {said}" if said else kind
    template, words = _message(event)
    return _first_line(words or template) or "An event without a message"


def culprit_of(event: ErrorEvent) -> str:
    """Where it happened: `app.views in divide`, else the transaction."""
    for stack in _stacks(event):
        frames = _frames(stack)
        for frame in (*_in_app(frames)[-1:], *frames[-1:]):
            where, function = _place_name(frame), frame.function or ""
            if where or function:
                return f"{where} in {function}" if where and function else where or function
    return event.transaction or event.culprit or event.logger or ""


def level_of(event: ErrorEvent) -> str:
    """One of `LEVELS`; `error` for what no client should send."""
    level = (event.level or DEFAULT_LEVEL).lower()
    level = {"warn": "warning", "critical": "fatal", "log": "info"}.get(level, level)
    return level if level in LEVELS else DEFAULT_LEVEL


def _by_default(event: ErrorEvent) -> Parts:
    for rule in RULES:
        parts = rule(event)
        if parts is not None:
            return parts
    raise AssertionError("the last rule always answers")


def _places(stack: Stack | None) -> list[str]:
    """The calls of a stack as text, those of the app if there are any, each once.

    No line numbers and no absolute paths: the same error after an edit, or on another machine, is
    the same. Repeated calls count once, so that no depth of a recursion is an error of its own.
    The line that failed does count, as one function may fail in two ways.
    """
    frames = _frames(stack)
    told = _in_app(frames) or frames
    if not told:
        return []
    places = {_place(frame): None for frame in told}
    return [*places, _failing_line(told[-1])]


def _place(frame: Frame) -> str:
    function = _function_name((frame.function or "")[:LONGEST_NAME])
    return f"{_place_name(frame)}\x01{_line(frame) if function in _NAMELESS else function}"


def _place_name(frame: Frame) -> str:
    """The module, or the file without what differs from machine to machine and build to build."""
    return frame.module or _file_name((frame.filename or frame.abs_path or "")[-LONGEST_NAME:])


@lru_cache(maxsize=PLACES_REMEMBERED)
def _function_name(function: str) -> str:
    return _GENERATED.sub("", _ADDRESS.sub("", function))


@lru_cache(maxsize=PLACES_REMEMBERED)
def _file_name(name: str) -> str:
    absolute = name.startswith(("/", "file:", "http:", "https:", "webpack")) or name[1:3] == ":\\"
    if absolute:
        name = "/".join(re.split(r"[/\\]", name)[-2:])
    return _BUILD_HASH.sub("", name)


def _failing_line(frame: Frame) -> str:
    return _line(frame) if (frame.function or "") not in _NAMELESS else ""


def _line(frame: Frame) -> str:
    # A long line is minified code: all of the program, and different after every build.
    line = frame.context_line or ""
    return " ".join(line.split()) if len(line) <= LONGEST_LINE_THAT_TELLS else ""


def _frames(stack: Stack | None) -> list[Frame]:
    if stack is None:
        return []
    return [frame for frame in stack.frames or () if frame is not None][-MOST_FRAMES:]


def _in_app(frames: list[Frame]) -> list[Frame]:
    return [frame for frame in frames if frame.in_app]


def _stacks(event: ErrorEvent) -> Iterator[Stack]:
    for exception in reversed(event.exceptions):
        if exception.stacktrace is not None:
            yield exception.stacktrace
    thread = event.stack_of_thread
    if thread is not None:
        yield thread


def _message(event: ErrorEvent) -> tuple[str, str]:
    """The template and the words of what was logged; either may be empty."""
    template = words = ""
    for given in (event.logentry, event.message):
        if isinstance(given, str):
            words = words or given
        elif given is not None:
            template, words = template or given.message or "", words or given.formatted or ""
    return template, words


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0].strip()
