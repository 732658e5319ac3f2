import asyncio

from mainstay_server.areas.guard import jobs, readiness
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.readiness import Finding, NotApplicable, Outcome, Passed, ReadinessCheck
from tests.areas.guard.test_ingest import check
from tests.areas.guard.worlds import PASSWORD
from tests.world import World


def ask(readiness_check: ReadinessCheck, world: World) -> Outcome:
    with reading() as session:
        return readiness_check.ask(session, world.instance, utc_now())


def guard_something(world: World) -> None:
    check(world, x_api_key=PASSWORD)
    asyncio.run(jobs.store_verdicts(now=utc_now()))


def simulate(world: World) -> None:
    path = f"/api/instances/{world.instance.id}/guard/settings"
    assert world.alice.patch(path, json={"mode": "simulate"}).status_code == 200


def test_an_api_without_a_guard_is_found(world: World) -> None:
    assert isinstance(ask(readiness.api_is_guarded, world), Finding)
    guard_something(world)
    assert isinstance(ask(readiness.api_is_guarded, world), Passed)


def test_a_guard_that_only_simulates_is_found_once_it_has_traffic(world: World) -> None:
    assert isinstance(ask(readiness.guard_is_enforced, world), Passed)
    simulate(world)
    assert isinstance(ask(readiness.guard_is_enforced, world), NotApplicable)
    guard_something(world)
    assert isinstance(ask(readiness.guard_is_enforced, world), Finding)
