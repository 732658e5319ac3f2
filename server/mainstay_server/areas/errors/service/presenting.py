"""Presenting an event: what of its payload people look at, in shapes that pages can rely on.

Nothing in a payload can be trusted: every part may be missing, of another type, or huge. What comes
out of here has the promised types and is short enough to be shown.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

LONGEST_TEXT = 1_000
LONGEST_LINE = 400
MOST_EXCEPTIONS = 20
MOST_FRAMES = 120
MOST_LINES = 12
MOST_BREADCRUMBS = 100
MOST_PAIRS = 80

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class ShownFrame:
    """One call, in Sentry's own words."""

    filename: str
    function: str
    module: str
    lineno: int
    in_app: bool
    pre_context: Sequence[str]
    context_line: str
    post_context: Sequence[str]
    vars: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ShownException:
    """One exception of the chain, with its calls, the failing one first."""

    type: str
    value: str
    handled: bool | None
    mechanism: str
    frames: Sequence[ShownFrame]


@dataclass(frozen=True, kw_only=True)
class ShownCrumb:
    """What happened before; `at` as the client wrote it."""

    at: str
    category: str
    level: str
    message: str


@dataclass(frozen=True, kw_only=True)
class ShownEvent:
    """All that the page of an event shows of its payload."""

    message: str
    exceptions: Sequence[ShownException]
    breadcrumbs: Sequence[ShownCrumb]
    request: Pairs
    user: Pairs
    contexts: Sequence[tuple[str, Pairs]]
    platform: str
    sdk: str


def present(payload: str) -> ShownEvent:
    """Read a stored payload for people."""
    try:
        event = _object(msgspec.json.decode(payload))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        event = {}
    sdk = _object(event.get("sdk"))
    return ShownEvent(
        message=_message(event),
        exceptions=_exceptions(event),
        breadcrumbs=_breadcrumbs(event),
        request=_request(_object(event.get("request"))),
        user=_pairs(event.get("user")),
        contexts=_contexts(event),
        platform=_text(event.get("platform")),
        sdk=f"{_text(sdk.get('name'))} {_text(sdk.get('version'))}".strip(),
    )


def _message(event: Mapping[str, Any]) -> str:
    for given in (event.get("logentry"), event.get("message")):
        said = given if isinstance(given, str) else _object(given).get("formatted")
        said = said or _object(given).get("message")
        if said:
            return _text(said)
    return ""


def _exceptions(event: Mapping[str, Any]) -> list[ShownException]:
    """The exceptions, the one that was raised last first, as it is what people look for."""
    shown = []
    for given in reversed(_list(event.get("exception"))[-MOST_EXCEPTIONS:]):
        exception = _object(given)
        mechanism = _object(exception.get("mechanism"))
        handled = mechanism.get("handled")
        shown.append(
            ShownException(
                type=_text(exception.get("type")) or "Error",
                value=_text(exception.get("value")),
                handled=handled if isinstance(handled, bool) else None,
                mechanism=_text(mechanism.get("type")),
                frames=_frames(exception.get("stacktrace")),
            )
        )
    frames = _frames(event.get("stacktrace")) or _thread_frames(event)
    if not shown and frames:
        shown.append(
            ShownException(type="Stack", value="", handled=None, mechanism="", frames=frames)
        )
    return shown


def _thread_frames(event: Mapping[str, Any]) -> list[ShownFrame]:
    threads = [_object(thread) for thread in _list(event.get("threads"))]
    threads.sort(key=lambda thread: (not thread.get("crashed"), not thread.get("current")))
    return _frames(threads[0].get("stacktrace")) if threads else []


def _frames(stack: object) -> list[ShownFrame]:
    given = _object(stack).get("frames")
    frames = given[-MOST_FRAMES:] if isinstance(given, list) else []
    return [_frame(_object(frame)) for frame in reversed(frames)]


def _frame(frame: Mapping[str, Any]) -> ShownFrame:
    line = frame.get("lineno")
    return ShownFrame(
        filename=_text(frame.get("filename") or frame.get("abs_path")),
        function=_text(frame.get("function")),
        module=_text(frame.get("module")),
        lineno=line if isinstance(line, int) else 0,
        in_app=frame.get("in_app") is not False,
        pre_context=_lines(frame.get("pre_context"))[-MOST_LINES:],
        context_line=_line(frame.get("context_line")),
        post_context=_lines(frame.get("post_context"))[:MOST_LINES],
        vars=dict(_pairs(frame.get("vars"))),
    )


def _breadcrumbs(event: Mapping[str, Any]) -> list[ShownCrumb]:
    """The breadcrumbs, the latest first."""
    crumbs = [_object(crumb) for crumb in _list(event.get("breadcrumbs"))[-MOST_BREADCRUMBS:]]
    return [
        ShownCrumb(
            at=_text(crumb.get("timestamp")),
            category=_text(crumb.get("category") or crumb.get("type")),
            level=_text(crumb.get("level")) or "info",
            message=_text(crumb.get("message")) or _text(crumb.get("data")),
        )
        for crumb in reversed(crumbs)
    ]


def _request(request: Mapping[str, Any]) -> Pairs:
    told = [
        (name, _text(request[key]))
        for name, key in (
            ("Method", "method"),
            ("URL", "url"),
            ("Query", "query_string"),
            ("Body", "data"),
            ("Cookies", "cookies"),
        )
        if request.get(key)
    ]
    headers = request.get("headers")
    if isinstance(headers, list):  # some SDKs send pairs
        headers = {pair[0]: pair[1] for pair in headers if isinstance(pair, list) and len(pair) > 1}
    return [*told, *_pairs(headers)]


def _contexts(event: Mapping[str, Any]) -> list[tuple[str, Pairs]]:
    given = {**_object(event.get("contexts"))}
    given |= {name: event[name] for name in ("extra", "modules") if name in event}
    found: list[tuple[str, Pairs]] = [(_text(name), _pairs(each)) for name, each in given.items()]
    return [(name, pairs) for name, pairs in found if pairs][:MOST_PAIRS]


def _pairs(given: object) -> list[tuple[str, str]]:
    items: Iterable[tuple[object, object]] = _object(given).items()
    return [(_text(key), _text(value)) for key, value in list(items)[:MOST_PAIRS]]


def _list(given: object) -> list[Any]:
    values = _object(given).get("values") if isinstance(given, dict) else given
    return values if isinstance(values, list) else []


def _object(given: object) -> Mapping[str, Any]:
    return given if isinstance(given, dict) else {}


def _lines(given: object) -> list[str]:
    return [_line(line) for line in given] if isinstance(given, list) else []


def _line(given: object) -> str:
    text = given if isinstance(given, str) else ""
    return text if len(text) <= LONGEST_LINE else text[:LONGEST_LINE] + " …"


def _text(given: object) -> str:
    if given is None:
        return ""
    if isinstance(given, dict | list | bool):
        given = json.dumps(given, ensure_ascii=False)
    text = str(given)
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " …"
