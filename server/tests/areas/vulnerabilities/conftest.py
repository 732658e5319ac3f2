"""A project with one instance, over either relational store, and people before the API."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mainstay_server.areas import vulnerabilities
from mainstay_server.kernel import limits, shared
from mainstay_server.kernel.database import (
    Base,
    close_database,
    engine,
    open_database,
    transaction,
)
from mainstay_server.kernel.settings import forget_settings
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.areas.vulnerabilities.worlds import NOON
from tests.servers.postgres import postgres
from tests.world import World, a_project

__all__ = ["postgres"]


@pytest.fixture
def database(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A fresh SQLite database, or a PostgreSQL one where a test asks for both."""
    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path))
    forget_settings()
    url = f"sqlite:///{tmp_path / 'mainstay.db'}"
    if getattr(request, "param", "sqlite") == "postgres":
        server = request.getfixturevalue("postgres")
        url = server.url_of(server.new_database())
    open_database(url)
    Base.metadata.create_all(engine())
    yield
    close_database()
    forget_settings()


@pytest.fixture
def shared_store() -> Iterator[None]:
    shared.open_shared("memory://")
    yield
    shared.close_shared()


@pytest.fixture
def session(shared_store: None, database: None) -> Iterator[Session]:
    """One writing transaction on the fresh database, open for the whole test."""
    with transaction() as opened:
        yield opened


@pytest.fixture
def instance(session: Session) -> InstanceRef:
    """The production of a project."""
    return a_project(session, now=NOON)


@pytest.fixture
def world(client_for: Callable[..., World]) -> Iterator[World]:
    """Alice, Bob and Charlie before the API, with no upload counted yet."""
    limits.close_limits()
    yield client_for(vulnerabilities.area)
    limits.close_limits()
