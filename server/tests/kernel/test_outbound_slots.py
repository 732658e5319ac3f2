"""The limits on our own calls hold under pressure."""

import asyncio

from mainstay_server.kernel import outbound
from mainstay_server.kernel.outbound.slots import Slots
from tests.waiting import PATIENCE_SECONDS


def test_slots_are_neither_lost_nor_doubled_when_waiters_give_up() -> None:
    slots = Slots(total=3, per_host=2)
    most: dict[str, int] = {"a": 0, "b": 0, "all": 0}
    now = dict(most)

    async def use(index: int) -> None:
        host = "ab"[index % 2]
        async with slots.one_for(host, wait_seconds=0.02 if index % 3 else PATIENCE_SECONDS):
            for key in (host, "all"):
                now[key] += 1
                most[key] = max(most[key], now[key])
            await asyncio.sleep(0.005)
            for key in (host, "all"):
                now[key] -= 1

    async def crowd() -> list[BaseException | None]:
        return await asyncio.gather(*(use(index) for index in range(90)), return_exceptions=True)

    results = asyncio.run(crowd())

    assert most == {"a": 2, "b": 2, "all": 3}
    assert slots.taken == 0
    assert all(result is None for result in results[::3])
    assert any(isinstance(result, outbound.OutboundError) for result in results)
