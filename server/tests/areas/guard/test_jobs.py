import asyncio

from mainstay_server.areas.guard import jobs
from mainstay_server.kernel import columns
from mainstay_server.kernel.clock import utc_now
from tests.areas.guard.test_ingest import ask_policy, check
from tests.world import World


def test_what_was_decided_last_is_stored_when_the_process_ends(world: World) -> None:
    async def run_and_stop() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(jobs.keep_verdicts(stop))
        stop.set()
        await running

    check(world, x_api_key="wrong")
    asyncio.run(run_and_stop())

    assert columns.query_value("SELECT sum(count) FROM guard_passages") == 1


def test_the_use_of_a_guard_key_is_remembered(world: World, guard_key: str) -> None:
    path = f"/api/projects/{world.project}/guard-keys"
    assert world.bob.get(path).json()["guardKeys"][0]["lastUsedAt"] is None
    ask_policy(world, guard_key)

    jobs.remember_uses(now=utc_now())

    assert world.bob.get(path).json()["guardKeys"][0]["lastUsedAt"] is not None
