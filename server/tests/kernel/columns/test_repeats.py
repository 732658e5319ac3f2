"""A batch that is sent again is stored once, also while it is being stored, and after a failure."""

import asyncio
from collections.abc import Callable

import pytest
from mainstay_server.kernel import columns
from mainstay_server.kernel.problems import Problem
from tests.conftest import HeldInserts
from tests.waiting import eventually

from .worlds import VISITS, visit

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("shared_memory")]


def stored_numbers() -> list[int]:
    rows = columns.query("SELECT number FROM visits ORDER BY number")
    return [row["number"] for row in rows]


async def until(holds: Callable[[], bool]) -> None:
    await asyncio.to_thread(eventually, holds, every_seconds=0.01)


async def test_a_batch_that_comes_twice_is_stored_once_and_another_beside_it(store: str) -> None:
    for batch in ("a", "b", "a", "b"):
        await columns.append_once(VISITS, visit(ord(batch)), rows=1, batch=batch)

    assert stored_numbers() == [ord("a"), ord("b")]


async def test_a_repeat_during_the_storing_waits_for_it_even_when_the_first_goes_away(
    store: str, held_inserts: HeldInserts
) -> None:
    first = asyncio.ensure_future(columns.append_once(VISITS, visit(1), rows=1, batch="a"))
    await until(lambda: columns.stats().waiting_bytes > 0)
    repeat = asyncio.ensure_future(columns.append_once(VISITS, visit(1), rows=1, batch="a"))
    await asyncio.sleep(0)
    first.cancel()
    assert not repeat.done()
    held_inserts.let_go()
    await repeat

    assert stored_numbers() == [1]


async def test_what_was_refused_is_not_taken_for_stored(store: str) -> None:
    with pytest.raises(Problem):
        await columns.append_once(VISITS, b'{"number": "none"}\n', rows=1, batch="a")
    await columns.append_once(VISITS, visit(1), rows=1, batch="a")

    assert stored_numbers() == [1]
