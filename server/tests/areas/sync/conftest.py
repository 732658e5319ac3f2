"""People before the API of synced folders."""

from collections.abc import Callable

import pytest
from mainstay_server.areas import sync
from tests.world import World


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    """Alice, Bob and Charlie before the API."""
    return client_for(sync.area)
