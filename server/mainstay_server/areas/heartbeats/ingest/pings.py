"""The way in of Healthchecks' pings: plain ASGI, every form of the URL, their very answers."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypedDict
from urllib.parse import parse_qs
from uuid import UUID

from starlette.types import Receive, Scope, Send

from mainstay_server.areas.heartbeats.models import Signal
from mainstay_server.areas.heartbeats.schemas.reports import (
    BODY_BYTES,
    LONGEST_CLIENT,
    Outcome,
    Report,
    Target,
)
from mainstay_server.areas.heartbeats.service.intake import intake
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid, Problem, TooLarge
from mainstay_server.kernel.settings import ServerSettings, of
from mainstay_server.kernel.web.problems import problem_headers
from mainstay_server.kernel.web.proxies import client_address

PREFIX = "/ping/"
MOST_READ_BYTES = 10 << 20
METHODS = ("GET", "HEAD", "POST")
MOST_EXIT_STATUS = 255
SIGNALS = {"start": Signal.START, "fail": Signal.FAIL, "log": Signal.LOG}
UUID_FORM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
KEY_FORM = re.compile(r"[A-Za-z0-9_-]{10,40}")
EXIT_FORM = re.compile(r"[0-9]{1,10}")
LATE_FORM = re.compile(r"[0-9]{1,7}")
SLUG_FORM = re.compile(r"[a-z0-9_-]{1,100}")

_HEADERS = [
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"ping-body-limit", b"%d" % BODY_BYTES),
    (b"access-control-allow-origin", b"*"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]
_PREFLIGHT = [
    *_HEADERS[1:],
    (b"access-control-allow-methods", b"GET, HEAD, POST, OPTIONS"),
    (b"access-control-allow-headers", b"*"),
    (b"content-length", b"0"),
]
ANSWERS = {
    Outcome.TAKEN: (200, b"OK"),
    Outcome.CREATED: (201, b"Created"),
    Outcome.NOT_FOUND: (404, b"not found"),
    Outcome.AMBIGUOUS: (409, b"ambiguous slug"),
    Outcome.FULL: (403, b"too many checks"),
}
BAD_URL = "invalid url format"
BAD_UUID = "invalid uuid format"


class BadPing(Problem):
    """The address of a ping makes no sense; said in the words of Healthchecks."""

    status = 400
    code = "bad-ping"


@dataclass(slots=True)
class Addressed:
    """What the path of a ping says."""

    target: Target
    signal: Signal
    exit_status: int | None


async def take_ping(scope: Scope, receive: Receive, send: Send) -> None:
    """Take one ping; the answer comes when it is stored."""
    method: str = scope["method"]
    if method == "OPTIONS":
        await _send(send, 204, b"", headers=_PREFLIGHT)
        return
    try:
        if method not in METHODS:
            await _say(send, method, 405, b"method not allowed", [(b"allow", b"GET, HEAD, POST")])
            return
        query = parse_qs(scope["query_string"].decode("latin-1")) if scope["query_string"] else {}
        addressed = read_path(scope["path"][len(PREFIX) :], create=query.get("create") == ["1"])
        run_id = read_run_id(query["rid"][0]) if "rid" in query else ""
        body = await read_start_of_body(receive) if method != "HEAD" else b""
        report = Report(
            target=addressed.target,
            signal=addressed.signal,
            exit_status=addressed.exit_status,
            run_id=run_id,
            late=read_late(query["late"][0]) if run_id and "late" in query else None,
            body=body,
            **sent_by(scope),
        )
        result = await intake().record(report)
    except Problem as problem:
        extra = [(k.encode(), v.encode()) for k, v in problem_headers(problem).items()]
        await _say(send, method, problem.status, problem.detail.encode(), extra)
        return
    status, text = ANSWERS[result.outcome]
    await _say(send, method, status, text)


def read_path(rest: str, *, create: bool) -> Addressed:
    """What follows `/ping/`. Raises `BadPing` for what is in no form of Healthchecks' addresses."""
    parts = rest.removesuffix("/").split("/")
    if UUID_FORM.fullmatch(parts[0]):
        target, words = Target(ping_id=parts[0]), parts[1:]
    elif len(parts) > 1 and KEY_FORM.fullmatch(parts[0]) and SLUG_FORM.fullmatch(parts[1]):
        target = Target(ping_key=parts[0], slug=parts[1], create=create)
        words = parts[2:]
    else:
        raise BadPing(BAD_URL)
    if not words:
        return Addressed(target, Signal.SUCCESS, None)
    if len(words) == 1 and words[0] in SIGNALS:
        return Addressed(target, SIGNALS[words[0]], None)
    (word, *more) = words
    if more or not EXIT_FORM.fullmatch(word) or int(word) > MOST_EXIT_STATUS:
        raise BadPing(BAD_URL)
    return Addressed(target, Signal.FAIL if int(word) else Signal.SUCCESS, int(word))


def read_run_id(text: str) -> str:
    """A run id in its one form. Raises `BadPing` for what is no UUID."""
    try:
        return str(UUID(text))
    except ValueError:
        raise BadPing(BAD_UUID) from None


def read_late(text: str) -> timedelta:
    """How long ago a report was due, in seconds. Raises `BadPing` for what is no such number."""
    if not LATE_FORM.fullmatch(text):
        raise BadPing(BAD_URL)
    return timedelta(seconds=int(text))


async def read_start_of_body(receive: Receive) -> bytes:
    """The first 10,000 bytes of a body; the rest is read and dropped, up to 10 MiB."""
    kept, arrived_bytes = b"", 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Invalid("The client went away before its body was complete; send it again.")
        piece = message.get("body", b"")
        arrived_bytes += len(piece)
        if arrived_bytes > MOST_READ_BYTES:
            raise TooLarge("The body is over 10 MiB; send the end of the log only.")
        if len(kept) < BODY_BYTES:
            kept += piece[: BODY_BYTES - len(kept)]
        if not message.get("more_body", False):
            return kept


class Sender(TypedDict):
    """When and from whom a report comes."""

    at: datetime
    scheme: str
    method: str
    address: str
    client: str


def sent_by(scope: Scope) -> Sender:
    """When and from whom a report comes, as its row keeps it."""
    client = b""
    for name, value in scope["headers"]:
        if name == b"user-agent":
            client = value
    return {
        "at": utc_now(),
        "scheme": scope.get("scheme", "http"),
        "method": scope["method"],
        "address": client_address(scope, of(ServerSettings).trusted_proxies)[:64],
        "client": client.decode("latin-1")[:LONGEST_CLIENT],
    }


async def _say(
    send: Send,
    method: str,
    status: int,
    text: bytes,
    extra: list[tuple[bytes, bytes]] | None = None,
) -> None:
    head = [*_HEADERS, (b"content-length", b"%d" % len(text)), *(extra or ())]
    await _send(send, status, b"" if method == "HEAD" else text, headers=head)


async def _send(
    send: Send, status: int, body: bytes, *, headers: list[tuple[bytes, bytes]]
) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
