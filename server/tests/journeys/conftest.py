"""One Mainstay per set of stores, shared by the journeys that do not kill it."""

from collections.abc import Callable, Iterator, Mapping

import pytest
from tests.journeys.running import Mainstay, running_mainstay

Stores = Callable[[], Mapping[str, str]]


@pytest.fixture(scope="module")
def stores() -> Stores:
    """Makes the settings of four empty stores: nothing to set when they are embedded."""
    return dict


@pytest.fixture(scope="module")
def mainstay(stores: Stores) -> Iterator[Mainstay]:
    """Mainstay on the stores of the module, with short leases."""
    with running_mainstay({**stores(), "MAINSTAY_LEASE_SECONDS": "3"}) as server:
        yield server
