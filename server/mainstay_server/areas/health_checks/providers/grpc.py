"""The gRPC check: asks the standard health service (grpc.health.v1) over HTTP/2."""

import ssl
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import unquote

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from pydantic import Field

from mainstay_server.areas.health_checks.schemas.orders import (
    Fact,
    Host,
    Port,
    ProbeOrder,
    ProbeResult,
    ProviderConfig,
    Secret,
)
from mainstay_server.kernel import certificates, outbound
from mainstay_server.kernel.outbound import OutboundError, Wire

LABEL = "gRPC service"
VALUES = frozenset(
    {"CONNECTED", "RESPONSE_TIME", "IP", "STATUS", "GRPC_STATUS", "CERTIFICATE_EXPIRATION"}
)
EXAMPLE: Mapping[str, Any] = {"host": "api.example.com", "port": 443, "service": "shop.v1.Orders"}
METHOD = "/grpc.health.v1.Health/Check"
MOST_BYTES = 64 * 1024
MOST_READS = 200
# HealthCheckResponse.ServingStatus.
SERVING = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
OK = 0
NOT_FOUND = 5
UNIMPLEMENTED = 12
UNAUTHENTICATED = 16


class Config(ProviderConfig):
    """Where it is, and the service to ask about; without one, about the whole server."""

    host: Host
    port: Port = 443
    tls: bool = True
    verify_tls: bool = True
    service: Annotated[str, Field(max_length=500)] = ""
    authority: Annotated[str, Field(max_length=253, pattern=r"^[\w.:\[\]-]*$")] = ""
    token: Secret | None = None


@dataclass(kw_only=True)
class Heard:
    """What came back of one call."""

    http_status: str = ""
    status: int | None = None
    message: str = ""
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False


def target_of(config: Config) -> str:
    """The host, the port and the service."""
    place = f"{config.host}:{config.port}"
    return f"{place} {config.service}" if config.service else place


def host_of(config: Config) -> str:
    """The host."""
    return config.host


async def ask(order: ProbeOrder) -> ProbeResult:
    """Call Check once; healthy when the service is SERVING."""
    config = Config.model_validate(order.config)
    began = time.monotonic()
    facts: dict[str, Fact] = {}
    try:
        async with outbound.dial(
            config.host,
            config.port,
            timeout_seconds=order.timeout_seconds,
            tls=_context(config) if config.tls else None,
        ) as wire:
            if wire.tls is not None:
                facts |= certificates.ends_at(wire.tls.getpeercert(binary_form=True))
            heard = await _call(wire, config, order.timeout_seconds)
            result = order.answered(wire.timings(), values={"IP": wire.address}, facts=facts)
    except OutboundError as error:
        return order.unanswered(error, began=began)
    except h2.exceptions.H2Error as error:
        unread = OutboundError("protocol", f"{config.host} does not speak HTTP/2: {error}")
        return order.unanswered(unread, began=began)
    return _judged(result, config, heard)


def _context(config: Config) -> ssl.SSLContext:
    return outbound.tls_context("h2", verify=config.verify_tls)


async def _call(wire: Wire, config: Config, timeout_seconds: int) -> Heard:
    """One unary call: headers, a message with its length in front, and trailers back."""
    speaking = h2.connection.H2Connection(
        config=h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
    )
    speaking.initiate_connection()
    stream = speaking.get_next_available_stream_id()
    headers = [
        (":method", "POST"),
        (":scheme", "https" if config.tls else "http"),
        (":path", METHOD),
        (":authority", config.authority or f"{config.host}:{config.port}"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "mainstay/1 (health check)"),
        ("grpc-timeout", f"{timeout_seconds}S"),
    ]
    if config.token is not None:
        headers.append(("authorization", f"Bearer {config.token.get_secret_value()}"))
    message = _request(config.service)
    speaking.send_headers(stream, headers)
    speaking.send_data(stream, struct.pack("!BI", 0, len(message)) + message, end_stream=True)
    heard = Heard()
    for _ in range(MOST_READS):
        await wire.send(speaking.data_to_send())
        data = await wire.read_some()
        if not data:
            raise OutboundError("protocol", f"{wire.host} hung up before its answer was complete")
        for event in speaking.receive_data(data):
            _take(event, stream, heard)
        if heard.ended or len(heard.body) > MOST_BYTES:
            return heard
    raise OutboundError("protocol", f"{wire.host} answers without an end")


def _take(event: h2.events.Event, stream: int, heard: Heard) -> None:
    if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
        found = {str(name): str(value) for name, value in event.headers or ()}
        heard.http_status = found.get(":status", heard.http_status)
        code = found.get("grpc-status", "")
        heard.status = int(code) if code.isdigit() else heard.status
        heard.message = unquote(found.get("grpc-message", heard.message))
    elif isinstance(event, h2.events.DataReceived):
        heard.body += event.data or b""
    elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
        heard.ended = True
    if isinstance(event, h2.events.StreamEnded) and event.stream_id == stream:
        heard.ended = True


def _judged(result: ProbeResult, config: Config, heard: Heard) -> ProbeResult:
    serving = _serving(bytes(heard.body))
    result = result.with_values({"GRPC_STATUS": heard.status, "STATUS": serving})
    return result.with_fault(_fault(config, heard, serving))


def _fault(config: Config, heard: Heard, serving: str) -> str:
    about = f": {heard.message[:150]}" if heard.message else ""
    if heard.status == NOT_FOUND:
        return f"knows no service {config.service}"
    if heard.status == UNIMPLEMENTED:
        return "does not implement grpc.health.v1, the standard health service"
    if heard.status == UNAUTHENTICATED:
        return f"wants to know who asks{about}"
    if heard.status is None:
        return f"answers HTTP {heard.http_status or 'nothing'} without a gRPC status"
    if heard.status != OK:
        return f"answers with gRPC status {heard.status}{about}"
    return "" if serving == "SERVING" else f"says {serving}"


def _request(service: str) -> bytes:
    """HealthCheckRequest: field 1, a text."""
    raw = service.encode()
    return b"\x0a" + _varint(len(raw)) + raw if raw else b""


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _serving(body: bytes) -> str:
    """HealthCheckResponse: field 1, an enumeration; nothing at all is its first value."""
    message = body[5:]
    if not body:
        return ""
    number = message[1] if message[:1] == b"\x08" and len(message) > 1 else 0
    return SERVING[number] if number < len(SERVING) else SERVING[0]
