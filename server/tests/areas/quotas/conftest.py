from collections.abc import Callable, Iterator

import pytest
from mainstay_server.areas.quotas import area
from mainstay_server.areas.quotas.settings import QuotaSettings
from mainstay_server.kernel.settings import forget_settings, override_settings
from tests.world import World


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(area)


@pytest.fixture
def free_by_default(session: None) -> Iterator[None]:
    """Everybody is on the plan FREE: 100 calls a month."""
    override_settings(QuotaSettings(default_plan="FREE"))
    yield
    forget_settings()
