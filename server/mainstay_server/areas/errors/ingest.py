"""The way in for Sentry's SDKs: envelopes, and single events as they were sent before those."""

import asyncio
import base64
from collections.abc import Awaitable, Iterable, Mapping
from datetime import datetime
from typing import NoReturn
from urllib.parse import parse_qs
from uuid import uuid4

import msgspec
from starlette.types import Receive, Scope, Send

from mainstay_server.kernel.area import Door, EnvelopeItem, ReceivedItem, installed
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid, MethodNotAllowed, Problem, TooLarge
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.web.incoming import read_incoming
from mainstay_server.kernel.web.problems import problem_headers
from mainstay_server.tenancy.senders import Sender, find_sender

from .service.decoding import unpack_stored
from .service.framing import Envelope, Item, own_event_id, read_envelope
from .service.intake import intake
from .settings import MIB, ErrorsSettings

EVENT = "event"
KIB = 1 << 10
ONE_OF_A_KIND = ("event", "transaction")

_ANYBODY = [(b"access-control-allow-origin", b"*"), (b"x-content-type-options", b"nosniff")]
_EXPOSED = [
    *_ANYBODY,
    (b"access-control-expose-headers", b"x-sentry-error, x-sentry-rate-limits, retry-after"),
]
# An event id is 32 hex digits, so every answer to one has the same head.
_STORED = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len('{"id":"0123456789abcdef0123456789abcdef"}')),
        *_EXPOSED,
    ],
}
_PREFLIGHT = [
    *_ANYBODY,
    (b"access-control-allow-methods", b"POST, OPTIONS"),
    (
        b"access-control-allow-headers",
        (
            b"x-sentry-auth, x-requested-with, x-forwarded-for, origin, referer, accept,"
            b" content-type, authentication, authorization, content-encoding, transfer-encoding,"
            b" sentry-trace, baggage"
        ),
    ),
    (b"access-control-max-age", b"3600"),
    (b"content-length", b"0"),
]
_GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


async def take_envelope(scope: Scope, receive: Receive, send: Send, number: int) -> None:
    """Take an envelope: its error event, and every item of a type that some area takes.

    The answer is 200 when all of that is stored; items of other types are skipped.
    """
    if await _answered_preflight(scope, send):
        return
    try:
        if scope["method"] != "POST":
            raise MethodNotAllowed("Envelopes are sent with POST.")
        sender = _sender_of_headers(scope, number)
        limit = of(ErrorsSettings).errors_envelope_mib * MIB
        body = await read_incoming(scope, receive, most_bytes=limit)
        envelope = read_envelope(body)
        sender = _sender_of_envelope(scope, number, envelope, sender)
        store = _store_alone if _is_one_event(envelope) else _store_items
        event_id = await store(envelope, sender, received_at=utc_now())
    except Problem as problem:
        await _refuse(send, problem)
        return
    await _accept(send, event_id)


async def take_stored(scope: Scope, receive: Receive, send: Send, number: int) -> None:
    """Take one error event as JSON, the way of SDKs before envelopes; also as an image's query."""
    if await _answered_preflight(scope, send):
        return
    as_image = scope["method"] == "GET"
    try:
        if scope["method"] not in ("GET", "POST"):
            raise MethodNotAllowed("Events are sent with POST, or with GET as ?sentry_data=.")
        sender = find_sender(scope, number)
        limit = of(ErrorsSettings).errors_event_kib * KIB
        body = (
            _in_query(scope) if as_image else await read_incoming(scope, receive, most_bytes=limit)
        )
        payload = unpack_stored(body, most_bytes=limit)
        if len(payload) > limit:
            raise _too_large(EVENT, limit)
        event_id = own_event_id(payload) or uuid4().hex
        await intake().store(sender, payload, event_id=event_id, received_at=utc_now())
    except Problem as problem:
        await _refuse(send, problem)
        return
    if as_image:
        await _answer(send, 200, _GIF, content_type=b"image/gif")
    else:
        await _accept(send, event_id)


doors = (Door(path="envelope/", app=take_envelope), Door(path="store/", app=take_stored))


def _sender_of_headers(scope: Scope, number: int) -> Sender | None:
    """Whoever the request itself names, before its body is read; None if only the body may say."""
    if b"sentry" not in _credentials(scope):
        return None
    return find_sender(scope, number)


def _credentials(scope: Scope) -> bytes:
    given = [scope.get("query_string", b"")]
    for name, value in scope["headers"]:
        if name in (b"x-sentry-auth", b"authorization"):
            given.append(value)
    return b" ".join(given).lower()


def _sender_of_envelope(
    scope: Scope, number: int, envelope: Envelope, sender: Sender | None
) -> Sender:
    dsn = envelope.headers.get("dsn")
    if sender is not None and not dsn:
        return sender
    return find_sender(scope, number, envelope_dsn=dsn if isinstance(dsn, str) else "")


def _is_one_event(envelope: Envelope) -> bool:
    return len(envelope.items) == 1 and envelope.items[0].type == EVENT


async def _store_alone(envelope: Envelope, sender: Sender, *, received_at: datetime) -> str:
    """Do what `_store_items` does for nearly all envelopes, in half the time."""
    (item,) = envelope.items
    event_id = envelope.event_id or own_event_id(item.payload) or uuid4().hex
    await _store_event(item, sender, event_id, received_at)
    return event_id


async def _store_items(envelope: Envelope, sender: Sender, *, received_at: datetime) -> str:
    """Store what is taken of an envelope, all at once; returns the event id to answer with."""
    event_id = envelope.event_id
    _refuse_doubles(envelope.items)
    waiting: list[Awaitable[None]] = []
    takers: Mapping[str, EnvelopeItem] | None = None
    for item in envelope.items:
        if item.type == EVENT:
            event_id = event_id or own_event_id(item.payload) or uuid4().hex
            waiting.append(_store_event(item, sender, event_id, received_at))
            continue
        takers = _takers() if takers is None else takers
        taker = takers.get(item.type)
        if taker is not None:
            event_id = event_id or uuid4().hex
            waiting.append(_hand_over(item, taker, sender, event_id, received_at))
    if len(waiting) == 1:
        await waiting[0]
    elif waiting:
        for outcome in await asyncio.gather(*waiting, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
    return event_id


def _refuse_doubles(items: Iterable[Item]) -> None:
    kinds = [item.type for item in items]
    for kind in ONE_OF_A_KIND:
        if kinds.count(kind) > 1:
            raise Invalid(f"An envelope holds one {kind} at most; send the others on their own.")


async def _store_event(item: Item, sender: Sender, event_id: str, received_at: datetime) -> None:
    limit = of(ErrorsSettings).errors_event_kib * KIB
    if len(item.payload) > limit:
        raise _too_large(EVENT, limit)
    await intake().store(sender, item.payload, event_id=event_id, received_at=received_at)


async def _hand_over(
    item: Item, taker: EnvelopeItem, sender: Sender, event_id: str, received_at: datetime
) -> None:
    if len(item.payload) > taker.max_bytes:
        raise _too_large(item.type, taker.max_bytes)
    await taker.take(
        ReceivedItem(
            project_id=sender.project_id,
            project_number=sender.project_number,
            event_id=event_id,
            headers=item.headers,
            payload=item.payload,
            received_at=received_at,
        )
    )


def _takers() -> dict[str, EnvelopeItem]:
    return {item.type: item for area in installed() for item in area.envelope_items}


def _in_query(scope: Scope) -> bytes:
    query: dict[str, list[str]] = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    data = query.get("sentry_data")
    if not data:
        raise Invalid("There is no sentry_data in the query; send the event there or with POST.")
    # A plus sign of base64 is a space by the rules of queries.
    return data[0].replace(" ", "+").encode()


def _too_large(kind: str, limit_bytes: int) -> NoReturn:
    raise TooLarge(f"The envelope exceeds the size limit of {limit_bytes} bytes for type '{kind}'.")


async def _answered_preflight(scope: Scope, send: Send) -> bool:
    if scope["method"] != "OPTIONS":
        return False
    await send({"type": "http.response.start", "status": 200, "headers": _PREFLIGHT})
    await send({"type": "http.response.body", "body": b""})
    return True


async def _refuse(send: Send, problem: Problem) -> None:
    """Refuse in the shape that Sentry's SDKs log and obey."""
    status = problem.status
    if isinstance(problem, MethodNotAllowed):
        extra = [(b"allow", b"POST, OPTIONS")]
    else:
        extra = [(k.encode(), v.encode()) for k, v in problem_headers(problem).items()]
    shown = problem.detail.encode("ascii", "replace").replace(b"\n", b" ").replace(b"\r", b" ")
    extra.append((b"x-sentry-error", shown[:500]))
    if status == 429:  # noqa: PLR2004 - Too Many Requests
        seconds = max(1, round(problem.retry_after_seconds or 1))
        extra.append((b"x-sentry-rate-limits", b"%d:error;default;security:organization" % seconds))
    body = msgspec.json.encode({"detail": problem.detail, "causes": [problem.code]})
    await _answer(send, status, body, extra=extra)


async def _accept(send: Send, event_id: str) -> None:
    if event_id:
        await send(_STORED)
        await send({"type": "http.response.body", "body": b'{"id":"%b"}' % event_id.encode()})
    else:
        await _answer(send, 200, b"{}")


async def _answer(
    send: Send,
    status: int,
    body: bytes,
    *,
    content_type: bytes = b"application/json",
    extra: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    headers = [
        (b"content-type", content_type),
        (b"content-length", b"%d" % len(body)),
        *_EXPOSED,
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
