"""An empty log over real stores: SQLite in a file, and a real PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mainstay_server.kernel import blobs
from mainstay_server.kernel.settings import forget_settings
from tests.areas.audit.worlds import database_of
from tests.servers.http import http_receiver

__all__ = ["http_receiver"]


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A data dir, and a blob store in memory."""
    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path))
    forget_settings()
    blobs.open_blobs("memory://")
    yield
    blobs.close_blobs()
    forget_settings()


@pytest.fixture
def log(stores: None, tmp_path: Path) -> Iterator[None]:
    """An empty log in SQLite."""
    with database_of("sqlite", tmp_path):
        yield


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def any_log(stores: None, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """An empty log in either."""
    with database_of(request.param, tmp_path):
        yield
