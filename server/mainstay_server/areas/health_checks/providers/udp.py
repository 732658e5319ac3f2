"""The UDP check: a packet goes out, and an answer must come back."""

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
from mainstay_server.areas.health_checks.schemas.talk import Said, shown, unescaped
from mainstay_server.kernel import outbound
from mainstay_server.kernel.outbound import OutboundError

LABEL = "UDP port"
VALUES = frozenset({"CONNECTED", "RESPONSE_TIME", "IP", "BODY", "SIZE"})
EXAMPLE: Mapping[str, Any] = {"host": "game.example.com", "port": 27015, "send": "\\xff\\xff"}


class Config(ProviderConfig):
    r"""Where to send a packet, which one, and what must be part of the answer.

    Both are text in which \r, \n, \t, \\ and \xHH stand for those bytes.
    """

    host: Host
    port: Port
    send: Annotated[Said, Field(min_length=1)]
    expect: Said = ""


def target_of(config: Config) -> str:
    """The host and the port."""
    return f"{config.host}:{config.port}"


def host_of(config: Config) -> str:
    """The host."""
    return config.host


async def ask(order: ProbeOrder) -> ProbeResult:
    """Send one packet; healthy when one comes back, and holds what is expected."""
    config = Config.model_validate(order.config)
    began = time.monotonic()
    try:
        async with outbound.dial_udp(
            config.host, config.port, timeout_seconds=order.timeout_seconds
        ) as datagrams:
            await datagrams.send(unescaped(config.send))
            said = await datagrams.receive()
            values = {"IP": datagrams.address, "BODY": said, "SIZE": len(said)}
            result = order.answered(datagrams.timings(), values=values)
    except OutboundError as error:
        return order.unanswered(error, began=began)
    if unescaped(config.expect) in said:
        return result
    return result.worsened(HealthState.UNHEALTHY, f"said {shown(said)!r}, not {config.expect!r}")
