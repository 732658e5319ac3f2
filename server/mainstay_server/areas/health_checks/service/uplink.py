"""The uplink: whether we reach anything at all, before an app is said to be down."""

import asyncio
import time
from collections.abc import Sequence

from mainstay_server.kernel import outbound
from mainstay_server.kernel.outbound import OutboundError

TIMEOUT_SECONDS = 3.0


class Uplink:
    """Asks the operator's own targets; without any, the uplink counts as there.

    An answer serves all whose failure began before it was asked for, so that a thousand failures at
    once cost one question, and none is judged by how the uplink was before it.
    """

    def __init__(self, targets: Sequence[tuple[str, int]]) -> None:
        self._targets = targets
        self._asking: asyncio.Task[bool] | None = None
        self._asked = 0.0

    async def is_up(self, *, after: float) -> bool:
        """Whether one of the targets takes a connection, asked after a monotonic moment."""
        if not self._targets:
            return True
        if self._asking is None or self._asked < after:
            self._asked = time.monotonic()
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)

    async def _ask(self) -> bool:
        asked = [asyncio.create_task(_takes(host, port)) for host, port in self._targets]
        try:
            for answer in asyncio.as_completed(asked):
                if await answer:
                    return True
            return False
        finally:
            for one in asked:
                one.cancel()


async def _takes(host: str, port: int) -> bool:
    try:
        async with outbound.dial(host, port, timeout_seconds=TIMEOUT_SECONDS):
            return True
    except OutboundError:
        return False
