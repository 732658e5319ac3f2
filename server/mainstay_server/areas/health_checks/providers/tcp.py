"""The TCP check: a connection, and where asked, what is said and what must come back."""

import time
from collections.abc import Mapping
from typing import Any

from mainstay_server.areas.health_checks.models import HealthState
from mainstay_server.areas.health_checks.schemas.orders import (
    Host,
    Port,
    ProbeOrder,
    ProbeResult,
    ProviderConfig,
)
from mainstay_server.areas.health_checks.schemas.talk import Said, shown, unescaped
from mainstay_server.kernel import outbound
from mainstay_server.kernel.outbound import OutboundError, Wire

LABEL = "TCP port"
VALUES = frozenset({"CONNECTED", "RESPONSE_TIME", "IP", "BODY", "SIZE"})
EXAMPLE: Mapping[str, Any] = {"host": "mail.example.com", "port": 25, "expect": "220"}
MOST_BYTES = 64 * 1024


class Config(ProviderConfig):
    r"""Where to connect. `send` goes out first; `expect` must be part of what comes back.

    Both are text in which \r, \n, \t, \\ and \xHH stand for those bytes.
    """

    host: Host
    port: Port
    tls: bool = False
    send: Said = ""
    expect: Said = ""


def target_of(config: Config) -> str:
    """The host and the port."""
    return f"{config.host}:{config.port}"


def host_of(config: Config) -> str:
    """The host."""
    return config.host


async def ask(order: ProbeOrder) -> ProbeResult:
    """Connect; healthy when the port answers, and with what is expected, if anything is."""
    config = Config.model_validate(order.config)
    began = time.monotonic()
    try:
        async with outbound.dial(
            config.host,
            config.port,
            timeout_seconds=order.timeout_seconds,
            tls=outbound.tls_context() if config.tls else None,
        ) as wire:
            said = await _talk(wire, config)
            values = {"IP": wire.address, "BODY": said, "SIZE": len(said)}
            result = order.answered(wire.timings(), values=values)
    except OutboundError as error:
        return order.unanswered(error, began=began)
    if unescaped(config.expect) in said:
        return result
    about = f"said {shown(said)!r}" if said else "said nothing"
    return result.worsened(HealthState.UNHEALTHY, f"{about}, not {config.expect!r}")


async def _talk(wire: Wire, config: Config) -> bytes:
    """What it says, until that holds what is expected, ends, or is 64 KiB."""
    await wire.send(unescaped(config.send))
    wanted, said = unescaped(config.expect), b""
    while wanted not in said and len(said) < MOST_BYTES:
        more = await wire.read_some()
        if not more:
            break
        said += more
    return said[:MOST_BYTES]
