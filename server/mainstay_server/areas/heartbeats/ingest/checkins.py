"""Check-ins of Sentry's SDKs and of sentry-cli: in envelopes, and at an address of their own."""

from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, quote

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from mainstay_server.areas.heartbeats.schemas.reports import Outcome, Report
from mainstay_server.areas.heartbeats.service.checkins import read_check_in, report_of
from mainstay_server.areas.heartbeats.service.intake import intake
from mainstay_server.kernel.area import Door, EnvelopeItem, ReceivedItem
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Forbidden, Invalid, MethodNotAllowed, NotFound
from mainstay_server.kernel.web import send_problem
from mainstay_server.kernel.web.incoming import read_incoming
from mainstay_server.tenancy.senders import OfProject, find_sender, instance_for, known_instance

from .pings import sent_by

MOST_BYTES = 100 << 10
DOOR = "cron/"
FROM_QUERY = ("status", "check_in_id", "environment", "duration")


async def take_item(item: ReceivedItem) -> None:
    """Take the check-in of an envelope; returning means stored."""
    report = await _report(item.payload, item, received_at=item.received_at)
    await _record(report)


async def take_at_address(scope: Scope, receive: Receive, send: Send, number: int) -> None:
    """Take a check-in whose slug stands in the address, and its status there or in a body."""
    if scope["method"] not in ("GET", "POST"):
        refusal = MethodNotAllowed("Check-ins are sent with GET or POST.")
        await send_problem(send, refusal, path=scope["path"], headers={"allow": "GET, POST"})
        return
    rest = str(scope["path"]).partition(f"/{DOOR}")[2].strip("/")
    slug, _, key = rest.partition("/")
    if not slug or "/" in key:
        raise NotFound("Check-ins go to /api/{number}/cron/{slug}, with or without a key after it.")
    query: bytes = scope["query_string"]
    if key:
        query = query + (b"&" if query else b"") + b"sentry_key=" + quote(key).encode()
    sender = find_sender({**scope, "query_string": query}, number)
    body = await read_incoming(scope, receive, most_bytes=MOST_BYTES)
    payload = _payload(slug, body, scope["query_string"].decode("latin-1"))
    report = await _report(payload, sender, received_at=utc_now())
    who = sent_by(scope)
    report.method, report.address, report.client = who["method"], who["address"], who["client"]
    await _record(report)
    head = [(b"content-length", b"0"), (b"access-control-allow-origin", b"*")]
    await send({"type": "http.response.start", "status": 202, "headers": head})
    await send({"type": "http.response.body", "body": b""})


def _payload(slug: str, body: bytes, query: str) -> bytes:
    """The check-in that the address and the body say together."""
    given: dict[str, Any] = {}
    if body.strip():
        try:
            decoded = msgspec.json.decode(body)
        except msgspec.MsgspecError:
            raise Invalid("The body is no JSON; send a check-in, or nothing.") from None
        if not isinstance(decoded, dict):
            raise Invalid("The body is no JSON object; send a check-in, or nothing.")
        given = decoded
    for name, values in parse_qs(query).items():
        if name in FROM_QUERY:
            given[name] = values[0]
    if isinstance(given.get("duration"), str):
        try:
            given["duration"] = float(given["duration"])
        except ValueError:
            raise Invalid("duration must be seconds, from 0 to a year.") from None
    return msgspec.json.encode({**given, "monitor_slug": slug})


async def _report(payload: bytes, sender: OfProject, *, received_at: datetime) -> Report:
    check_in = read_check_in(payload)
    environment = check_in.environment or ""
    instance = known_instance(sender, environment)
    if instance is None:
        instance = await run_in_threadpool(instance_for, sender, environment)
    return report_of(check_in, instance, received_at=received_at)


async def _record(report: Report) -> None:
    result = await intake().record(report)
    if result.outcome == Outcome.NOT_FOUND:
        raise NotFound(
            f"There is no heartbeat {report.target.slug!r} in {_environment(report)}; make it, or"
            " send a monitor_config."
        )
    if result.outcome == Outcome.FULL:
        raise Forbidden("The instance has as many heartbeats as it may; remove one.")


def _environment(report: Report) -> str:
    return report.target.instance.environment if report.target.instance else ""


envelope_items = (EnvelopeItem(type="check_in", max_bytes=MOST_BYTES, take=take_item),)
doors = (Door(path=DOOR, app=take_at_address, takes_rest=True, told_as=f"{DOOR}{{slug}}"),)
