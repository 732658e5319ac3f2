"""Kinds of health checks: each asks one way, in one file, and is listed here once."""

from collections.abc import Mapping
from typing import Any, Protocol

from mainstay_server.areas.health_checks.schemas.orders import (
    ProbeOrder,
    ProbeResult,
    ProviderConfig,
)

from . import (
    dns,
    domain,
    grpc,
    icmp,
    imap,
    mysql,
    ntp,
    postgres,
    redis,
    smtp,
    ssh,
    tcp,
    tls,
    udp,
    websocket,
)
from .browser import driving as browser
from .http import single as http
from .http import steps


class Provider(Protocol):
    """What a file of this folder offers. A `config` is an instance of its own `Config`.

    `VALUES` are the names that conditions of this kind may speak of. `EXAMPLE` is a config as
    the API takes it.
    """

    LABEL: str
    VALUES: frozenset[str]
    EXAMPLE: Mapping[str, Any]

    @property
    def Config(self) -> type[ProviderConfig]:  # noqa: N802 - it is a class
        """What this kind is told."""

    async def ask(self, order: ProbeOrder) -> ProbeResult:
        """Ask once, within the order's time-out, and judge the answer.

        Never raises for what the other side does: that is what the result tells.
        """

    def target_of(self, config: Any, /) -> str:  # noqa: ANN401 - its own Config
        """Where it asks, short and fit for any eye: no secret is in it."""

    def host_of(self, config: Any, /) -> str:  # noqa: ANN401 - its own Config
        """The host whose load it is."""


PROVIDERS: Mapping[str, Provider] = {
    "http": http,
    "tcp": tcp,
    "udp": udp,
    "icmp": icmp,
    "dns": dns,
    "tls": tls,
    "domain": domain,
    "websocket": websocket,
    "grpc": grpc,
    "ssh": ssh,
    "smtp": smtp,
    "imap": imap,
    "postgres": postgres,
    "mysql": mysql,
    "redis": redis,
    "ntp": ntp,
    "steps": steps,
    "browser": browser,
}

# What a kind may need beside its time-out before its answer says that this process was starved.
OVERHEAD_SECONDS: Mapping[str, float] = {"browser": browser.OVERHEAD_SECONDS}

# Whose answer is kept for hours: asking more often would tell nothing new.
SHORTEST_INTERVALS: Mapping[str, int] = {"domain": domain.SHORTEST_INTERVAL_SECONDS}
USUAL_INTERVALS: Mapping[str, int] = {"domain": domain.USUAL_INTERVAL_SECONDS}
