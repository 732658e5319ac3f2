"""The HTTP probe: one GET, judged by status, by speed and by the app's own health document."""

import re
import time

import msgspec

from mainstay_server.areas.health_checks.models import HealthState
from mainstay_server.areas.health_checks.schemas import ProbeOrder, ProbeResult
from mainstay_server.kernel import outbound
from mainstay_server.kernel.outbound import OutboundError, Response

MAX_BODY_BYTES = 64 * 1024
MAX_REDIRECTS = 5
FIRST_FAILURE = 400
LONGEST_REASON = 300
MOST_NAMED = 5
HEADERS = {
    "user-agent": "Mainstay/1 (health check)",
    "accept": "application/json, */*;q=0.8",
    "cache-control": "no-cache",
}
_SYSTEM_WORDS = re.compile(r"\(([^)]+)\)")


class _Part(msgspec.Struct):
    status: str = ""


class _Document(msgspec.Struct):
    """REQUIREMENTS T1: what an app says of itself; other members are not looked at."""

    status: str
    checks: dict[str, _Part] = {}


async def ask(order: ProbeOrder) -> ProbeResult:
    """GET the URL, follow redirects, read at most 64 KiB, and judge.

    Unhealthy: no answer in time, a status of 400 or more, or a health document that says so.
    Degraded: a document that says so, or an answer that took longer than the check allows.
    """
    began = time.monotonic()
    try:
        response = await outbound.fetch(
            "GET",
            order.url,
            headers=HEADERS,
            timeout_seconds=order.timeout_seconds,
            max_body_bytes=MAX_BODY_BYTES,
            follow_redirects=True,
            max_redirects=MAX_REDIRECTS,
        )
    except OutboundError as error:
        return ProbeResult(
            state=HealthState.UNHEALTHY,
            response_ms=(time.monotonic() - began) * 1000,
            reason=_why_no_answer(error, order)[:LONGEST_REASON],
            conclusive=not error.own_limit,
        )
    state, reason = _judge(response, order)
    timings = response.timings
    return ProbeResult(
        state=state,
        response_ms=timings.total,
        status_code=response.status,
        reason=reason[:LONGEST_REASON],
        resolve_ms=timings.resolve,
        connect_ms=timings.connect,
        tls_ms=timings.tls,
        first_byte_ms=timings.first_byte,
        transfer_ms=timings.transfer,
    )


def _judge(response: Response, order: ProbeOrder) -> tuple[HealthState, str]:
    says, about = _document_of(response)
    if response.status >= FIRST_FAILURE:
        return HealthState.UNHEALTHY, f"answered {response.status}{about}"
    if says == "unhealthy":
        return HealthState.UNHEALTHY, f"says that it is unhealthy{about}"
    if says == "degraded":
        return HealthState.DEGRADED, f"says that it is degraded{about}"
    if response.timings.total > order.degraded_after_ms:
        took, limit = response.timings.total / 1000, order.degraded_after_ms / 1000
        return HealthState.DEGRADED, f"answered in {took:.1f} s, slower than {limit:g} s"
    return HealthState.HEALTHY, ""


def _document_of(response: Response) -> tuple[str, str]:
    """The status that a health document gives, and the parts it blames; empty without one."""
    if response.truncated or "json" not in response.headers.get("content-type", ""):
        return "", ""
    try:
        document = msgspec.json.decode(response.body, type=_Document)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "", ""
    parts = [
        f"{name} {part.status}"
        for name, part in document.checks.items()
        if part.status in ("unhealthy", "degraded")
    ]
    return document.status.lower(), f": {', '.join(parts[:MOST_NAMED])}" if parts else ""


def _why_no_answer(error: OutboundError, order: ProbeOrder) -> str:
    """The failure in the words people search for, without advice for developers of Mainstay."""
    if error.own_limit:
        return "not asked: too many of our own connections to this host were busy"
    if error.kind == "timeout":
        return f"no answer within {order.timeout_seconds} s"
    if error.kind == "connect":
        words = _SYSTEM_WORDS.search(error.reason)
        return words.group(1).lower() if words else "connection refused"
    return error.reason.partition(";")[0].rstrip(".")
