"""The area behind its doors."""

from collections.abc import Callable, Iterator

import pytest
from mainstay_server.areas.heartbeats import area
from mainstay_server.areas.heartbeats.service.intake import close_intake
from tests.world import World


@pytest.fixture
def world(client_for: Callable[..., World]) -> Iterator[World]:
    yield client_for(area)
    close_intake()
