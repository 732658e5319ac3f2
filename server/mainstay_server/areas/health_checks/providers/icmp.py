"""The ping check: ICMP echoes, how long they take, and how many are lost."""

import time
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from mainstay_server.areas.health_checks.models import HealthState
from mainstay_server.areas.health_checks.schemas.orders import (
    Host,
    ProbeOrder,
    ProbeResult,
    ProviderConfig,
)
from mainstay_server.kernel import outbound
from mainstay_server.kernel.outbound import Echoes, OutboundError, Timings

LABEL = "Ping (ICMP)"
VALUES = frozenset({"CONNECTED", "RESPONSE_TIME", "IP", "LOSS"})
EXAMPLE: Mapping[str, Any] = {"host": "router.example.com", "count": 3}


class Config(ProviderConfig):
    """Whom to ping, how often in one turn, and from which loss in percent on it is degraded."""

    host: Host
    count: Annotated[int, Field(ge=1, le=10)] = 3
    degraded_loss_percent: Annotated[int, Field(ge=1, le=100)] = 50


def target_of(config: Config) -> str:
    """The host."""
    return config.host


def host_of(config: Config) -> str:
    """The host."""
    return config.host


async def ask(order: ProbeOrder) -> ProbeResult:
    """Ping; unhealthy when no packet comes back. Where this machine may not ping, nothing is said.

    The response time is the mean of the packets that came back.
    """
    config = Config.model_validate(order.config)
    began = time.monotonic()
    try:
        echoes = await outbound.ping(
            config.host, count=config.count, timeout_seconds=order.timeout_seconds
        )
    except OutboundError as error:
        return order.unanswered(error, began=began)
    loss = 100 * (1 - len(echoes.times_ms) / echoes.sent)
    result = order.answered(_timings(echoes), values={"IP": echoes.address, "LOSS": loss})
    if loss < config.degraded_loss_percent or order.speaks_of("LOSS"):
        return result
    lost = echoes.sent - len(echoes.times_ms)
    return result.worsened(HealthState.DEGRADED, f"lost {lost} of {echoes.sent} packets")


def _timings(echoes: Echoes) -> Timings:
    mean = sum(echoes.times_ms) / len(echoes.times_ms)
    return Timings(
        queued=0.0,
        resolve=echoes.resolve_ms,
        connect=0.0,
        tls=0.0,
        first_byte=mean,
        transfer=0.0,
        total=mean,
    )
