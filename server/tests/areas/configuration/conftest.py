"""People before the API of configuration documents."""

from collections.abc import Callable

import pytest
from mainstay_server.areas import configuration
from mainstay_server.kernel.area import install
from tests.world import World


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    """Alice, Bob and Charlie, and no kind of thing but instances."""
    return client_for(configuration.area)


@pytest.fixture
def installed() -> None:
    """The kinds that this area declares itself, for tests below the doors."""
    install((configuration.area,))
