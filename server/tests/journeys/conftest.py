"""One Mainstay per set of stores, shared by the journeys that do not kill it."""

from collections.abc import Iterator

import pytest
from tests.journeys.running import Mainstay, running_mainstay


@pytest.fixture(scope="module")
def mainstay() -> Iterator[Mainstay]:
    """Mainstay on its embedded stores, with short leases."""
    with running_mainstay({"MAINSTAY_LEASE_SECONDS": "3"}) as server:
        yield server
