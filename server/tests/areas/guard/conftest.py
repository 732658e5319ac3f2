from collections.abc import Callable

import pytest
from mainstay_server.areas.guard import area as guard
from mainstay_server.areas.guard.service import holders
from mainstay_server.areas.guard.service.verdicts import tally
from tests.areas.guard.worlds import Doorman
from tests.world import World


@pytest.fixture(autouse=True)
def _nothing_decided_before() -> None:
    """What tests of other areas had decided waits in this process to be stored."""
    tally.take()
    holders.take_used()


@pytest.fixture
def doorman() -> Doorman:
    return Doorman()


@pytest.fixture
def world(client_for: Callable[..., World], doorman: Doorman) -> World:
    return client_for(guard, doorman.area)


@pytest.fixture
def guard_key(world: World) -> str:
    answer = world.alice.post(
        f"/api/projects/{world.project}/guard-keys", json={"name": "web servers"}
    )
    key = answer.json()["key"]
    assert isinstance(key, str)
    return key
