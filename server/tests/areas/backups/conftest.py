"""Real servers for the tests of engines."""

from collections.abc import Iterator

import pytest
from mainstay_server.kernel.settings import forget_settings
from tests.servers.mariadb import mariadb
from tests.servers.postgres import postgres

__all__ = ["mariadb", "postgres"]


@pytest.fixture(autouse=True)
def _settings_are_those_of_one_test() -> Iterator[None]:
    forget_settings()
    yield
    forget_settings()
