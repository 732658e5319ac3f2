"""Room per host: few at once to one, others not delayed, and no queue behind what hangs."""

import asyncio
from collections import Counter

import pytest
from mainstay_server.areas.health_checks.service import rooms
from mainstay_server.areas.health_checks.service.rooms import Rooms


class Visits:
    """Questions that stay in a room until they are let go; counts who is in at each host."""

    def __init__(self, room: Rooms) -> None:
        self.room = room
        self.inside: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.let_go = asyncio.Event()

    async def visit(self, host: str) -> None:
        async with self.room.one_at(host):
            self.inside[host] += 1
            self.most[host] = max(self.most[host], self.inside[host])
            await self.let_go.wait()
            self.inside[host] -= 1


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_at_most_so_many_ask_one_host_and_another_is_not_delayed() -> None:
    async def crowd() -> Visits:
        visits = Visits(Rooms(per_host=3))
        tasks = [asyncio.create_task(visits.visit("busy.example")) for _ in range(20)]
        await settle()
        tasks.append(asyncio.create_task(visits.visit("calm.example")))
        await settle()
        assert visits.inside == {"busy.example": 3, "calm.example": 1}
        assert visits.room.waiting() == 17
        visits.let_go.set()
        await asyncio.gather(*tasks)
        assert visits.room.waiting() == 0
        assert not visits.room._hosts
        return visits

    assert asyncio.run(crowd()).most["busy.example"] == 3


def test_what_hangs_stops_counting_but_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "HANGING_SECONDS", 0.01)

    async def crowd() -> None:
        visits = Visits(Rooms(per_host=2))
        tasks = [asyncio.create_task(visits.visit("hangs.example")) for _ in range(50)]
        while visits.inside["hangs.example"] < 20:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert visits.inside["hangs.example"] == 2 * rooms.MOST_HANGING_PER_ROOM
        visits.let_go.set()
        await asyncio.gather(*tasks)
        assert not visits.room._hosts

    asyncio.run(crowd())


def test_who_gives_up_waiting_leaves_the_place_to_the_next() -> None:
    async def crowd() -> None:
        visits = Visits(Rooms(per_host=1))
        first, second, third = (asyncio.create_task(visits.visit("one.example")) for _ in range(3))
        await settle()
        second.cancel()
        await settle()
        visits.let_go.set()
        await asyncio.gather(first, third)
        assert second.cancelled()
        assert not visits.room._hosts

    asyncio.run(crowd())


def test_who_is_cancelled_in_the_moment_of_its_turn_gives_it_on() -> None:
    async def crowd() -> None:
        visits = Visits(Rooms(per_host=1))
        first, second, third = (asyncio.create_task(visits.visit("one.example")) for _ in range(3))
        await settle()
        first.cancel()
        host = visits.room._hosts["one.example"]
        while len(host.waiting) > 1:  # noqa: ASYNC110 - up to the very moment
            await asyncio.sleep(0)
        second.cancel()  # its place was given to it, and it has not run since
        visits.let_go.set()
        await third
        assert second.cancelled()
        assert not visits.room._hosts

    asyncio.run(crowd())


def test_what_has_no_host_has_no_limit() -> None:
    async def crowd() -> None:
        visits = Visits(Rooms(per_host=1))
        tasks = [asyncio.create_task(visits.visit("")) for _ in range(5)]
        await settle()
        assert visits.inside[""] == 5
        visits.let_go.set()
        await asyncio.gather(*tasks)

    asyncio.run(crowd())
