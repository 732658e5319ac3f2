"""Who decides about limits: the store that processes share, or this process alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from mainstay._internal.guard.limits import (
    ALLOW,
    DENY,
    NO_LIMITS,
    Buckets,
    Charge,
    Decision,
)


class SharedStore(Protocol):
    """Buckets that several processes share. Both methods return None when it is away."""

    def decide(self, charges: Sequence[Charge], now_us: int) -> Decision | None:
        """Charge all of them or none; waits for the network, within its tight time-out."""

    async def decide_async(self, charges: Sequence[Charge], now_us: int) -> Decision | None:
        """Do the same without holding up the event loop."""

    async def close_async(self) -> None:
        """Close the connections of this event loop."""

    def close(self) -> None:
        """Close the connections of threads."""


class Limiter:
    """Decides with the shared store when there is one, and by each limit's own rule without it.

    ``local`` decides in the memory of this process, which knows how the buckets stood when the
    store was last there; ``deny`` refuses; ``allow`` lets pass. ``degraded`` is set whenever it
    had to, for the report to take note of.
    """

    def __init__(self, buckets: Buckets, shared: SharedStore | None) -> None:
        self.buckets = buckets
        self.shared = shared
        self.degraded = False

    def decide(self, charges: Sequence[Charge], now_us: int) -> Decision:
        """Charge all of them or none; with a shared store this waits for the network."""
        if self.shared is None:
            return self.buckets.decide(charges, now_us)
        decision = self.shared.decide(charges, now_us)
        return self._without(charges, now_us) if decision is None else decision

    async def decide_async(self, charges: Sequence[Charge], now_us: int) -> Decision:
        """Do the same without holding up the event loop."""
        if self.shared is None:
            return self.buckets.decide(charges, now_us)
        decision = await self.shared.decide_async(charges, now_us)
        return self._without(charges, now_us) if decision is None else decision

    def _without(self, charges: Sequence[Charge], now_us: int) -> Decision:
        self.degraded = True
        denied = [
            charge.limit.name
            for charge in charges
            if charge.limit.on_backend_error == DENY and not charge.limit.simulate
        ]
        if denied:
            return Decision(admitted=False, unavailable=denied)
        local = [charge for charge in charges if charge.limit.on_backend_error not in (ALLOW, DENY)]
        return self.buckets.decide(local, now_us) if local else NO_LIMITS


def refunds(charges: Sequence[Charge]) -> list[Charge]:
    """Return the charges that give back what some others took."""
    return [replace(charge, amount_us=-charge.amount_us) for charge in charges if charge.amount_us]
