"""A project with one instance and its keys, over the stores that keys need."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mainstay_server.areas import api_keys
from mainstay_server.areas.api_keys.models import ApiKey
from mainstay_server.areas.api_keys.schemas import NewApiKey
from mainstay_server.areas.api_keys.service import keys
from mainstay_server.kernel import shared
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
from tests.servers.postgres import postgres
from tests.world import World, a_project

__all__ = ["postgres"]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


# For tests of what both relational stores must promise: `pytestmark = on_both_stores`.
on_both_stores = pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)


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
    """Where every process is told of a change."""
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
def world(client_for: Callable[..., World]) -> World:
    """Alice, Bob and Charlie before the API."""
    return client_for(api_keys.area)


def a_key(
    session: Session, instance: InstanceRef, *, now: datetime = NOON, **wanted: Any
) -> tuple[ApiKey, str]:
    """A key for "billing service" that may do nothing, unless it is said what it may."""
    made = NewApiKey(**{"name": "billing service", **wanted})
    return keys.create_key(session, instance, made, now=now)
