"""The push addresses of others, so that what reports to them reports here: Kuma's and Gatus'."""

import re
from urllib.parse import parse_qs

import msgspec
from starlette.types import Receive, Scope, Send

from mainstay_server.areas.heartbeats.models import Signal
from mainstay_server.areas.heartbeats.schemas.reports import Outcome, Report, Target
from mainstay_server.areas.heartbeats.service.intake import intake
from mainstay_server.areas.heartbeats.service.making import slug_of
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.web.problems import problem_headers

from .pings import UUID_FORM, sent_by

KUMA = "/api/push/"
GATUS = "/api/v1/endpoints/"
EXTERNAL = "/external"
LONGEST_TOKEN = 64
MOST_MS = 100_000_000_000
BEARER = b"bearer "
UNITS_MS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6}
GO_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
UNKNOWN = "Monitor not found or not active."

Head = list[tuple[bytes, bytes]]


async def take_kuma(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI
    """Take a push as Uptime Kuma does: any method, `status`, `msg` and `ping` in the query."""
    token = str(scope["path"])[len(KUMA) :].strip("/")
    query = parse_qs(scope["query_string"].decode("latin-1"))
    target = Target(ping_id=token) if UUID_FORM.fullmatch(token) else Target(push_token=token)
    milliseconds = _number(query.get("ping", [""])[0])
    report = Report(
        target=target,
        signal=Signal.FAIL if query.get("status", ["up"])[0] == "down" else Signal.SUCCESS,
        duration_ms=None if milliseconds is None else round(milliseconds),
        body=query.get("msg", [""])[0].encode()[:1000],
        **sent_by(scope),
    )
    try:
        if not token or len(token) > LONGEST_TOKEN:
            await _json(send, 404, {"ok": False, "msg": UNKNOWN})
            return
        result = await intake().record(report)
    except Problem as problem:
        await _json(send, problem.status, {"ok": False, "msg": problem.detail}, _head(problem))
        return
    if result.outcome == Outcome.TAKEN:
        await _json(send, 200, {"ok": True})
    else:
        await _json(send, 404, {"ok": False, "msg": UNKNOWN})


async def take_gatus(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI
    """Take a result of an external endpoint as Gatus does; the bearer is a ping key."""
    path = str(scope["path"])
    if not path.endswith(EXTERNAL):
        await _text(send, 404, "not found")
        return
    if scope["method"] != "POST":
        await _text(send, 405, "method not allowed", [(b"allow", b"POST")])
        return
    key = slug_of(path[len(GATUS) : -len(EXTERNAL)])
    token = _bearer(scope["headers"])
    query = parse_qs(scope["query_string"].decode("latin-1"))
    success = query.get("success", [""])[0]
    if not token:
        await _text(send, 401, "bearer token must not be empty")
        return
    if success not in ("true", "false"):
        await _text(send, 400, "missing or invalid success value")
        return
    report = Report(
        target=Target(ping_key=token, slug=key or "-"),
        signal=Signal.SUCCESS if success == "true" else Signal.FAIL,
        duration_ms=go_duration_ms(query.get("duration", [""])[0]),
        body=query.get("error", [""])[0].encode()[:1000],
        **sent_by(scope),
    )
    try:
        result = await intake().record(report)
    except Problem as problem:
        await _text(send, problem.status, problem.detail, _head(problem))
        return
    found = result.outcome == Outcome.TAKEN
    await _text(send, 200 if found else 404, "" if found else "not found")


def go_duration_ms(text: str) -> int | None:
    """A duration as Go writes it (`1m2.5s`) in milliseconds; None for none."""
    found = GO_DURATION.findall(text)
    if not found or "".join(amount + unit for amount, unit in found) != text:
        return None
    return min(round(sum(float(amount) * UNITS_MS[unit] for amount, unit in found)), MOST_MS)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= MOST_MS else None


def _bearer(headers: Head) -> str:
    for name, value in headers:
        if name == b"authorization" and value.lower().startswith(BEARER):
            return value[len(BEARER) :].strip().decode("latin-1")[:LONGEST_TOKEN]
    return ""


def _head(problem: Problem) -> Head:
    return [(k.encode(), v.encode()) for k, v in problem_headers(problem).items()]


async def _json(send: Send, status: int, body: object, extra: Head | None = None) -> None:
    await _send(send, status, msgspec.json.encode(body), b"application/json", extra)


async def _text(send: Send, status: int, text: str, extra: Head | None = None) -> None:
    await _send(send, status, text.encode(), b"text/plain; charset=utf-8", extra)


async def _send(
    send: Send, status: int, body: bytes, content_type: bytes, extra: Head | None
) -> None:
    head = [
        (b"content-type", content_type),
        (b"content-length", b"%d" % len(body)),
        (b"access-control-allow-origin", b"*"),
        (b"cache-control", b"no-store"),
        *(extra or ()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
