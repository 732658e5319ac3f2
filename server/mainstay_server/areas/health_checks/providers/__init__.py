"""Kinds of probes: each asks one way, in one file, and is listed here once."""

from collections.abc import Mapping
from typing import Protocol

from mainstay_server.areas.health_checks.schemas import ProbeOrder, ProbeResult

from . import http


class Probe(Protocol):
    """Ask once, within the order's time-out, and judge the answer.

    Never raises for what the other side does: that is what the result tells.
    """

    async def __call__(self, order: ProbeOrder) -> ProbeResult:
        """Ask the app of the order."""


PROBES: Mapping[str, Probe] = {"http": http.ask}
