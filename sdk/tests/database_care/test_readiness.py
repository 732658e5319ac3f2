"""Findings about an app's database: each is there when it is true, and gone when it is mended."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from mainstay.sqlalchemy import check_database
from sqlalchemy.pool import NullPool
from tests.database_care.app_databases import Servers

pytestmark = pytest.mark.slow


def codes(engine: sa.Engine, *, processes: int = 1) -> set[str]:
    try:
        found = check_database(engine, processes=processes)
    finally:
        engine.dispose()
    assert all(one.problem.endswith(".") and one.fix for one in found)
    return {one.code for one in found}


def test_postgres_as_it_comes_and_as_it_should_be(
    database_servers: Servers, tmp_path: Path
) -> None:
    url = database_servers.url("postgresql", tmp_path)
    timed = "-c statement_timeout=30s -c idle_in_transaction_session_timeout=60s"

    assert codes(sa.create_engine(url)) == {
        "no-pre-ping",
        "no-statement-timeout",
        "no-idle-timeout",
    }
    mended = {"pool_pre_ping": True, "connect_args": {"options": timed}}
    assert codes(sa.create_engine(url, **mended)) == set()
    # 15 connections each; the server lets in 200, three of them for its superuser alone.
    assert codes(sa.create_engine(url, **mended), processes=13) == set()
    assert codes(sa.create_engine(url, **mended), processes=14) == {"pool-too-large"}
    assert codes(sa.create_engine(url, **mended, max_overflow=-1)) == {"unbounded-pool"}
    unpooled = {"poolclass": NullPool, "connect_args": {"options": timed}}
    assert codes(sa.create_engine(url, **unpooled)) == {"not-pooled"}


def test_a_database_elsewhere_without_tls_is_found(
    database_servers: Servers, tmp_path: Path
) -> None:
    # Another address of this machine, which the check cannot know.
    for kind in ("postgresql", "mariadb"):
        url = sa.make_url(database_servers.url(kind, tmp_path))
        elsewhere = sa.create_engine(
            url.set(host="db.example"),
            connect_args={"hostaddr": "127.0.0.1"}
            if kind == "postgresql"
            else {"host": "127.0.0.1"},
        )
        assert "no-tls" in codes(elsewhere)
        assert "no-tls" not in codes(sa.create_engine(url))


def test_mariadb_as_it_comes_and_as_it_should_be(database_servers: Servers, tmp_path: Path) -> None:
    url = database_servers.url("mariadb", tmp_path)
    timed = {"init_command": "SET SESSION max_statement_time = 30"}

    assert codes(sa.create_engine(url)) == {"no-pre-ping", "no-statement-timeout"}
    assert codes(sa.create_engine(url, pool_pre_ping=True, connect_args=timed)) == set()


def test_sqlite_as_it_comes_and_as_it_should_be(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'app.db'}"
    assert codes(sa.create_engine(url, connect_args={"timeout": 0})) == {
        "foreign-keys-off",
        "no-wal",
        "no-busy-timeout",
    }

    engine = sa.create_engine(url)

    @sa.event.listens_for(engine, "connect")
    def mend(connection: object, _record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")  # type: ignore[attr-defined]
        connection.execute("PRAGMA journal_mode = WAL")  # type: ignore[attr-defined]

    assert codes(engine) == set()
