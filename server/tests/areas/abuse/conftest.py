from collections.abc import Callable, Iterator

import pytest
from mainstay_server.areas.abuse import area
from tests.areas.abuse.worlds import others_say
from tests.world import World


@pytest.fixture(autouse=True)
def nothing_is_allowed() -> Iterator[None]:
    with others_say():
        yield


@pytest.fixture
def world(client_for: Callable[..., World]) -> Iterator[World]:
    world = client_for(area)
    with others_say():
        yield world
