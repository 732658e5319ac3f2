"""The HTTP check: one GET, judged by status, by speed and by the app's own health document."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from mainstay_server.areas.health_checks.models import HealthState
from mainstay_server.areas.health_checks.schemas.orders import (
    Fact,
    ProbeOrder,
    ProbeResult,
    ProviderConfig,
)
from mainstay_server.kernel import certificates, outbound
from mainstay_server.kernel.outbound import OutboundError, Response

LABEL = "Web page or API"
VALUES = frozenset(
    {"STATUS", "RESPONSE_TIME", "CONNECTED", "IP", "BODY", "HEADER", "SIZE"}
    | {"CERTIFICATE_EXPIRATION", "DOMAIN_EXPIRATION"}
)
EXAMPLE: Mapping[str, Any] = {}
MAX_BODY_BYTES = 64 * 1024
MAX_REDIRECTS = 5
FIRST_FAILURE = 400
MOST_NAMED = 5
HEADERS = {
    "user-agent": "Mainstay/1 (health check)",
    "accept": "application/json, */*;q=0.8",
    "cache-control": "no-cache",
}


class Config(ProviderConfig):
    """How to ask. The URL is that of the check, which may be its instance's."""

    url: str = ""


def target_of(config: Config) -> str:
    """The URL without a user and a password."""
    parts = urlsplit(config.url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def host_of(config: Config) -> str:
    """The host of the URL."""
    return urlsplit(config.url).hostname or ""


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
        return order.unanswered(error, began=began)
    result = replace(
        order.answered(response.timings, values=_values(response), facts=_facts(response)),
        status_code=response.status,
    )
    return result.worsened(*_judge(response))


def _values(response: Response) -> dict[str, object]:
    return {
        "STATUS": response.status,
        "IP": response.remote_address,
        "BODY": response.body,
        "HEADER": response.headers,
        "SIZE": len(response.body),
    }


def _facts(response: Response) -> dict[str, Fact]:
    if response.certificate_der is None:
        return {}
    return {"certificate_ends_at": certificates.read(response.certificate_der).ends_at.timestamp()}


def _judge(response: Response) -> tuple[HealthState, str]:
    says, about = _document_of(response)
    if response.status >= FIRST_FAILURE:
        return HealthState.UNHEALTHY, f"answered {response.status}{about}"
    if says == "unhealthy":
        return HealthState.UNHEALTHY, f"says that it is unhealthy{about}"
    if says == "degraded":
        return HealthState.DEGRADED, f"says that it is degraded{about}"
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
