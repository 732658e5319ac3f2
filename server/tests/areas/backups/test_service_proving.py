"""Drills and restores that wait are carried out, and one that breaks off stops no other."""

import asyncio
import threading
from datetime import datetime

import pytest
from mainstay_server.areas.backups.service import drilling, proving, restoring
from tests.waiting import eventually

from .standing import NOON


def test_each_is_looked_for_again_and_again_also_after_a_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: dict[str, list[datetime]] = {"drills": [], "restores": []}

    def drill(*, now: datetime) -> str | None:
        heard["drills"].append(now)
        if len(heard["drills"]) == 1:
            raise RuntimeError("what nobody expected")
        return "one"

    def restore(*, now: datetime) -> str | None:
        heard["restores"].append(now)
        return None

    monkeypatch.setattr(drilling, "run_next", drill)
    monkeypatch.setattr(restoring, "run_next", restore)
    monkeypatch.setattr(proving, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(proving, "AFTER_A_FAULT_SECONDS", 0.01)

    async def run() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(proving.Provers(clock=lambda: NOON).run(stop))
        await asyncio.to_thread(eventually, lambda: all(len(each) > 3 for each in heard.values()))
        stop.set()
        await asyncio.wait_for(task, 30)

    asyncio.run(run())

    eventually(lambda: {"drills", "restores"}.isdisjoint(t.name for t in threading.enumerate()))
    assert {moment for each in heard.values() for moment in each} == {NOON}
