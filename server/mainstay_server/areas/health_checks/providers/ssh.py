"""The SSH check: the banner, and the first step of the key exchange."""

import os
import struct
import time
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from mainstay_server.areas.health_checks.schemas.orders import (
    Host,
    Port,
    ProbeOrder,
    ProbeResult,
    ProviderConfig,
)
from mainstay_server.kernel import outbound
from mainstay_server.kernel.outbound import OutboundError, Wire

LABEL = "SSH server"
VALUES = frozenset({"CONNECTED", "RESPONSE_TIME", "IP", "BANNER", "HOST_KEYS"})
EXAMPLE: Mapping[str, Any] = {"host": "bastion.example.com"}
OUR_BANNER = b"SSH-2.0-Mainstay_1\r\n"
MOST_LINES = 50
SHORTEST_PACKET, LONGEST_PACKET = 2, 35_000  # RFC 4253 section 6.1
KEXINIT = 20
DISCONNECT = 1


class Config(ProviderConfig):
    """Where it is, and what must be part of its banner."""

    host: Host
    port: Port = 22
    expect: Annotated[str, Field(max_length=200)] = ""


class Refused(Exception):
    """The server answered, but not as it should."""


def target_of(config: Config) -> str:
    """The host and the port."""
    return f"{config.host}:{config.port}"


def host_of(config: Config) -> str:
    """The host."""
    return config.host


async def ask(order: ProbeOrder) -> ProbeResult:
    """Exchange banners and wait for the server's KEXINIT: whoever sends it would let us sign in."""
    config = Config.model_validate(order.config)
    began = time.monotonic()
    fault = ""
    values: dict[str, object] = {}
    try:
        async with outbound.dial(
            config.host, config.port, timeout_seconds=order.timeout_seconds
        ) as wire:
            values["IP"] = wire.address
            try:
                await _greet(wire, config, values)
            except Refused as refused:
                fault = str(refused)
            result = order.answered(wire.timings(), values=values)
    except OutboundError as error:
        return order.unanswered(error, began=began)
    return result.with_fault(fault)


async def _greet(wire: Wire, config: Config, values: dict[str, object]) -> None:
    for _ in range(MOST_LINES):  # lines before the banner are allowed
        banner = (await wire.read_line()).decode("utf-8", "replace")
        if banner.startswith("SSH-"):
            break
    else:
        raise Refused("does not greet as SSH does")
    values["BANNER"] = banner
    if not banner.startswith(("SSH-2.0-", "SSH-1.99-")):
        raise Refused(f"speaks {banner[:60]!r}, which is older than SSH 2")
    if config.expect not in banner:
        raise Refused(f"greets with {banner[:100]!r}, not {config.expect!r}")
    await wire.send(OUR_BANNER + _kexinit())
    packet = await _packet(wire)
    if packet[:1] == bytes([DISCONNECT]):
        raise Refused("hangs up during the key exchange")
    if packet[:1] != bytes([KEXINIT]):
        raise Refused("does not begin the key exchange")
    lists = _name_lists(packet[17:])
    values["HOST_KEYS"] = lists[1] if len(lists) > 1 else []


async def _packet(wire: Wire) -> bytes:
    """The payload of one packet of RFC 4253 section 6, before anything is encrypted."""
    length = int.from_bytes(await wire.read_exactly(4), "big")
    if not SHORTEST_PACKET <= length <= LONGEST_PACKET:
        raise OutboundError("protocol", f"{wire.host} does not speak SSH")
    body = await wire.read_exactly(length)
    return body[1 : length - body[0]]


def _kexinit() -> bytes:
    """Ours: what everybody has, so that nobody hangs up for want of something in common."""
    names = (
        b"curve25519-sha256,ecdh-sha2-nistp256,diffie-hellman-group14-sha256",
        b"ssh-ed25519,rsa-sha2-512,rsa-sha2-256,ecdsa-sha2-nistp256",
        *(b"aes128-ctr,aes256-ctr,chacha20-poly1305@openssh.com",) * 2,
        *(b"hmac-sha2-256,hmac-sha2-512",) * 2,
        *(b"none",) * 2,
        *(b"",) * 2,
    )
    lists = b"".join(struct.pack("!I", len(each)) + each for each in names)
    payload = bytes([KEXINIT]) + os.urandom(16) + lists + b"\0" * 5
    padding = 8 - (len(payload) + 5) % 8
    padding += 8 if padding < 4 else 0  # noqa: PLR2004 - at least four, says the RFC
    head = struct.pack("!IB", len(payload) + padding + 1, padding)
    return head + payload + os.urandom(padding)


def _name_lists(raw: bytes) -> list[list[str]]:
    found: list[list[str]] = []
    at = 0
    while len(found) < 10 and at + 4 <= len(raw):  # noqa: PLR2004 - a KEXINIT has ten
        length = int.from_bytes(raw[at : at + 4], "big")
        found.append(raw[at + 4 : at + 4 + length].decode("ascii", "replace").split(","))
        at += 4 + length
    return found
