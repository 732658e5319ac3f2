"""A database of each kind, from servers that start when a test first asks for them."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.database_care.app_databases import KINDS, Servers, opened


@pytest.fixture(scope="session")
def database_servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(stack)


@pytest.fixture(params=KINDS)
def engine(
    request: pytest.FixtureRequest, database_servers: Servers, tmp_path: Path
) -> Iterator[sa.Engine]:
    """The app's tables in an empty database, once of each kind."""
    with opened(database_servers.url(request.param, tmp_path)) as engine:
        yield engine
