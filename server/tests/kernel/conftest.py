"""The kernel's promises hold on both relational stores, so its tests run on both."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from mainstay_server.kernel import outbound
from mainstay_server.kernel.database import Base, close_database, engine, open_database
from mainstay_server.kernel.settings import forget_settings
from tests.databases import fresh_sqlite
from tests.servers.postgres import postgres

__all__ = ["postgres"]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def database(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A fresh database of each kind."""
    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path))
    forget_settings()
    if request.param == "postgres":
        server = request.getfixturevalue("postgres")
        open_database(server.url_of(server.new_database()))
        Base.metadata.create_all(engine())
    else:
        open_database(fresh_sqlite(tmp_path))
    yield
    close_database()
    forget_settings()


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def open_to_private(authority: trustme.CA) -> Iterator[None]:
    """Everything may be reached, and the authority is trusted."""
    pem = authority.cert_pem.bytes().decode()
    outbound.open_outbound(allow_private=True, ca_pem=pem)
    yield
    outbound.close_outbound()


@pytest.fixture
def public_only() -> Iterator[None]:
    """Only public addresses may be reached."""
    outbound.open_outbound(allow_private=False)
    yield
    outbound.close_outbound()
