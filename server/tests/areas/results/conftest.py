"""People before the API of results."""

from collections.abc import Callable, Iterator

import pytest
from mainstay_server.areas import results
from mainstay_server.kernel import limits
from tests.world import World


@pytest.fixture
def world(client_for: Callable[..., World]) -> Iterator[World]:
    """Alice, Bob and Charlie before the API, with no upload counted yet."""
    limits.close_limits()
    yield client_for(results.area)
    limits.close_limits()
