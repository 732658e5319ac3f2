"""The WebSocket check: the handshake, and where asked, what is said and what must come back."""

import asyncio
import time
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, Field
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from mainstay_server.areas.health_checks.schemas.orders import (
    Fact,
    ProbeOrder,
    ProbeResult,
    ProviderConfig,
    Secret,
)
from mainstay_server.areas.health_checks.schemas.talk import shown
from mainstay_server.kernel import certificates, outbound
from mainstay_server.kernel.outbound import Dialed, OutboundError, tls_failure

LABEL = "WebSocket"
VALUES = frozenset(
    {"CONNECTED", "RESPONSE_TIME", "IP", "STATUS", "BODY", "SIZE", "CERTIFICATE_EXPIRATION"}
)
EXAMPLE: Mapping[str, Any] = {
    "url": "wss://shop.example.com/live",
    "send": '{"type": "ping"}',
    "expect": "pong",
}
MOST_BYTES = 64 * 1024
MOST_MESSAGES = 20
SWITCHED = 101
PORTS = {"ws": 80, "wss": 443}


def _checked_url(url: str) -> str:
    parts = urlsplit(url.strip())
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError("must begin with ws:// or wss:// and a host")
    if parts.username is not None:
        raise ValueError("takes no user in the address; give a header")
    if parts.port is not None and not 0 < parts.port <= MOST_BYTES:
        raise ValueError("has a port that does not exist")
    return url.strip()


class Config(ProviderConfig):
    """Where to shake hands. `send` goes out as a text; `expect` must be part of a message back."""

    url: Annotated[str, Field(max_length=2_000), AfterValidator(_checked_url)]
    headers: Annotated[dict[str, Secret], Field(max_length=20)] = Field(default_factory=dict)
    subprotocol: Annotated[str, Field(max_length=100, pattern=r"^[\w.+-]*$")] = ""
    send: Annotated[str, Field(max_length=10_000)] = ""
    expect: Annotated[str, Field(max_length=2_000)] = ""
    verify_tls: bool = True


def target_of(config: Config) -> str:
    """The address without its query, which may hold a token."""
    return urlunsplit(urlsplit(config.url)._replace(query="", fragment=""))


def host_of(config: Config) -> str:
    """The host."""
    return urlsplit(config.url).hostname or ""


async def ask(order: ProbeOrder) -> ProbeResult:
    """Shake hands, say what is to be said, and wait for a message that holds what is expected."""
    config = Config.model_validate(order.config)
    parts = urlsplit(config.url)
    began = time.monotonic()
    values: dict[str, object] = {}
    facts: dict[str, Fact] = {}
    fault = ""
    try:
        async with outbound.dial_socket(
            host_of(config),
            parts.port or PORTS[parts.scheme],
            timeout_seconds=order.timeout_seconds,
        ) as dialed:
            values["IP"] = dialed.address
            try:
                fault = await _converse(config, dialed, values, facts)
            except InvalidStatus as refused:
                values["STATUS"] = refused.response.status_code
                fault = f"answers the handshake with {refused.response.status_code}"
            except (WebSocketException, EOFError, ValueError) as error:
                fault = f"does not speak WebSocket: {error}"
            except OSError as error:
                raise (tls_failure(error, host_of(config)) or error) from error
            result = order.answered(dialed.timings(), values=values, facts=facts)
    except OutboundError as error:
        return order.unanswered(error, began=began)
    return result.with_fault(fault)


async def _converse(
    config: Config, dialed: Dialed, values: dict[str, object], facts: dict[str, Fact]
) -> str:
    secure = config.url.startswith("wss:")
    connection = await connect(
        config.url,
        sock=dialed.ours,
        ssl=outbound.tls_context(verify=config.verify_tls) if secure else None,
        server_hostname=host_of(config) if secure else None,
        additional_headers={
            name: value.get_secret_value() for name, value in config.headers.items()
        },
        subprotocols=[config.subprotocol] if config.subprotocol else None,  # type: ignore[list-item]  # a NewType of str
        user_agent_header="Mainstay/1 (health check)",
        proxy=None,
        open_timeout=None,
        ping_interval=None,
        max_size=MOST_BYTES,
        max_queue=4,
    )
    try:
        values["STATUS"] = SWITCHED
        session = connection.transport.get_extra_info("ssl_object")
        if session is not None:
            facts |= certificates.ends_at(session.getpeercert(binary_form=True))
        return await _talk(config, connection, values)
    finally:
        # Not waiting for a polite end: it may never come, and everything was read.
        connection.transport.abort()
        await asyncio.sleep(0)


async def _talk(config: Config, connection: ClientConnection, values: dict[str, object]) -> str:
    if config.send:
        await connection.send(config.send)
    if not config.send and not config.expect:
        return ""
    said = b""
    try:
        for _ in range(MOST_MESSAGES):
            heard = await connection.recv()
            said = heard.encode() if isinstance(heard, str) else bytes(heard)
            values |= {"BODY": said, "SIZE": len(said)}
            if config.expect.encode() in said:
                return ""
    except ConnectionClosed as closed:
        return f"hangs up: {closed}"
    return f"said {shown(said)!r}, not {config.expect!r}"
