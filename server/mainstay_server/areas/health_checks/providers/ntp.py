"""The time server check: does it answer, is it in step itself, and how far are we apart."""

import struct
import time
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from mainstay_server.areas.health_checks.models import HealthState
from mainstay_server.areas.health_checks.schemas.orders import (
    Host,
    Port,
    ProbeOrder,
    ProbeResult,
    ProviderConfig,
)
from mainstay_server.kernel import outbound
from mainstay_server.kernel.outbound import OutboundError

LABEL = "Time server (NTP)"
VALUES = frozenset({"CONNECTED", "RESPONSE_TIME", "IP", "OFFSET", "STRATUM"})
EXAMPLE: Mapping[str, Any] = {"host": "time.example.com", "maxOffsetMs": 100}
# RFC 5905: version 4, mode 3 (client); the answer is of mode 4 and 48 bytes or more.
ASKING = 0b00_100_011
SERVER = 4
PACKET_BYTES = 48
EPOCH = 2_208_988_800  # seconds from 1900 to 1970
NOT_IN_STEP = 3
LAST_STRATUM = 15


class Config(ProviderConfig):
    """Where it is, and how far its clock may be from ours before it is degraded."""

    host: Host
    port: Port = 123
    max_offset_ms: Annotated[int, Field(ge=1, le=86_400_000)] = 1_000


def target_of(config: Config) -> str:
    """The host, and the port when it is an unusual one."""
    return (
        config.host
        if config.port == Config.model_fields["port"].default
        else (f"{config.host}:{config.port}")
    )


def host_of(config: Config) -> str:
    """The host."""
    return config.host


async def ask(order: ProbeOrder) -> ProbeResult:
    """Ask the time once; unhealthy when the server says that it does not know it itself."""
    config = Config.model_validate(order.config)
    began = time.monotonic()
    try:
        async with outbound.dial_udp(
            config.host, config.port, timeout_seconds=order.timeout_seconds
        ) as datagrams:
            sent_at = time.time()
            mark = int((sent_at + EPOCH) * 2**32) & (2**64 - 1)
            await datagrams.send(struct.pack("!B39xQ", ASKING, mark))
            packet = await datagrams.receive()
            came_at = time.time()
            result = order.answered(datagrams.timings(), values={"IP": datagrams.address})
    except OutboundError as error:
        return order.unanswered(error, began=began)
    is_answer = len(packet) >= PACKET_BYTES and packet[24:32] == mark.to_bytes(8, "big")
    if not is_answer or packet[0] & 0b111 != SERVER:
        return result.worsened(HealthState.UNHEALTHY, "answers with something that is no time")
    return _judged(result, config, packet, (sent_at, came_at))


def _judged(
    result: ProbeResult, config: Config, packet: bytes, ours: tuple[float, float]
) -> ProbeResult:
    received, answered = _time(packet[32:40]), _time(packet[40:48])
    offset_ms = ((received - ours[0]) + (answered - ours[1])) / 2 * 1000
    stratum = packet[1]
    result = result.with_values({"OFFSET": abs(offset_ms), "STRATUM": stratum})
    if packet[0] >> 6 == NOT_IN_STEP or not 0 < stratum <= LAST_STRATUM:
        word = packet[12:16].decode("ascii", "replace").strip("\0") if stratum == 0 else ""
        about = f" ({word})" if word.isalnum() else ""
        return result.worsened(HealthState.UNHEALTHY, f"says that it is not in step itself{about}")
    if abs(offset_ms) > config.max_offset_ms:
        about = f"is {abs(offset_ms):.0f} ms from our clock, more than {config.max_offset_ms} ms"
        return result.worsened(HealthState.DEGRADED, about)
    return result


def _time(raw: bytes) -> float:
    seconds, fraction = struct.unpack("!II", raw)
    # The first era ends in 2036: a small number of seconds is one of the second.
    era = 2**32 if seconds < EPOCH else 0
    return float(seconds + era - EPOCH) + float(fraction) / 2**32
