import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from mainstay_server.areas.guard.service import waiting
from mainstay_server.areas.guard.service.policies import Policy, get_policy
from mainstay_server.kernel import shared
from mainstay_server.kernel.web.stopping import tell_stopping
from tests.areas.guard.worlds import Doorman
from tests.world import World

LONG_SECONDS = 60.0


async def stays() -> dict[str, Any]:
    """A client that does not go away."""
    await asyncio.Event().wait()
    return {}


async def leaves() -> dict[str, Any]:
    return {"type": "http.disconnect"}


def waited(
    policy: Policy,
    meanwhile: Callable[[], object],
    *,
    seconds: float = LONG_SECONDS,
    receive: Callable[[], Awaitable[dict[str, Any]]] = stays,
) -> bool:
    """Wait as an app does, with the loop that follows changes running beside."""

    async def both() -> bool:
        stop = asyncio.Event()
        following = asyncio.create_task(waiting.follow_policies(stop))
        asking = asyncio.create_task(waiting.wait_for_change(policy, seconds, receive))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(meanwhile)
        changed = await asking
        stop.set()
        await following
        return changed

    return asyncio.run(both())


def test_an_app_that_waits_is_woken_by_the_change(world: World, doorman: Doorman) -> None:
    policy = get_policy(world.instance.id)

    assert waited(policy, lambda: doorman.change(world, "new"))
    assert b'"new"' in get_policy(world.instance.id).body


def test_a_change_is_noticed_though_the_word_of_it_was_lost(
    world: World, doorman: Doorman, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = get_policy(world.instance.id)
    monkeypatch.setattr(shared, "publish", lambda _channel, _payload: False)

    assert waited(policy, lambda: doorman.change(world, "new"))


def test_without_a_change_the_wait_ends_with_its_time(world: World) -> None:
    assert not waited(get_policy(world.instance.id), lambda: None, seconds=0.2)


def test_a_server_that_is_asked_to_end_lets_nobody_wait(world: World) -> None:
    assert not waited(get_policy(world.instance.id), tell_stopping)


def test_nobody_waits_for_a_client_that_left(world: World) -> None:
    assert not waited(get_policy(world.instance.id), lambda: None, receive=leaves)
    assert not waiting._waiters
