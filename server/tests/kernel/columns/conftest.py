"""Every promise is checked twice: with the engine in this process, and over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mainstay_server.kernel import columns
from tests.column_stores import let_go_of_columns
from tests.servers.clickhouse import ClickHouseServer, clickhouse_server

from .worlds import VISITS


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    with clickhouse_server(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server


@pytest.fixture(params=["chdb", "clickhouse"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of either kind, not yet open."""
    if request.param == "chdb":
        return f"chdb://{tmp_path}/columns"
    server: ClickHouseServer = request.getfixturevalue("clickhouse")
    return server.new_database()


@pytest.fixture
def store(url: str) -> Iterator[str]:
    """An empty open store with the table VISITS."""
    columns.open_columns(url, tables=[VISITS])
    yield url
    columns.close_columns()


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    let_go_of_columns()
    yield
    columns.close_columns()
