"""Fixtures that every test of the server may use; the servers behind them are real."""

import gc
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from mainstay_server.app.process import COLLECTED_EVERY
from mainstay_server.kernel import shared
from mainstay_server.kernel.columns import Table
from mainstay_server.kernel.columns.writers import Waiting, Writer
from mainstay_server.kernel.database import close_database, transaction
from mainstay_server.kernel.events import Event, said_events
from mainstay_server.kernel.settings import forget_settings
from sqlalchemy.orm import Session
from tests.column_stores import empty_columns, let_go_of_columns
from tests.databases import forget_template, open_fresh_postgres, open_fresh_sqlite
from tests.servers.postgres import postgres
from tests.serving import client_for
from tests.waiting import PATIENCE_SECONDS

__all__ = ["client_for", "postgres"]

# What a real server behind a parameter is called in the names of tests.
REAL_SERVERS = ("postgres", "clickhouse", "redis", "s3")


SLOW_FILE = re.compile(r"^pytestmark = .*pytest\.mark\.slow", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where slow tests are left out, files of nothing else are not even imported.

    They load browsers, frameworks and the SDKs of others, which takes seconds.
    """
    if config.getoption("markexpr") != "not slow" or not collection_path.match("test_*.py"):
        return None
    return True if SLOW_FILE.search(collection_path.read_text()) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts a real server is slow, wherever it stands."""
    for item in items:
        parameters = item.name.partition("[")[2]
        fixtures = getattr(item, "fixturenames", ())
        if any(server in parameters or server in fixtures for server in REAL_SERVERS):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """What was imported stays: no collection of garbage need look at half a million objects again.

    The program does the same once it has started.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED_EVERY)


def pytest_sessionfinish() -> None:
    """End the column engine in order, and leave no file: processes of tests end abruptly."""
    let_go_of_columns()
    forget_template()


Said = Callable[[], list[Event]]


@pytest.fixture
def database(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A fresh database with the tables of everything imported, and a data dir beside it.

    It is in SQLite, and in PostgreSQL too for tests that are marked `on_both_stores`.
    """
    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path))
    forget_settings()
    if getattr(request, "param", "sqlite") == "postgres":
        open_fresh_postgres(request.getfixturevalue("postgres"))
    else:
        open_fresh_sqlite(tmp_path)
    yield
    close_database()
    forget_settings()


@pytest.fixture
def shared_memory() -> Iterator[None]:
    """Where processes tell each other of changes, once they are committed."""
    shared.open_shared("memory://")
    yield
    shared.close_shared()


@pytest.fixture
def session(shared_memory: None, database: None) -> Iterator[Session]:
    """One writing transaction on the fresh database, open for the whole test."""
    with transaction() as opened:
        yield opened


@pytest.fixture
def said(session: Session) -> Said:
    """The events said in the test's transaction since the last call, in order."""
    heard = 0

    def since_last_call() -> list[Event]:
        nonlocal heard
        session.flush()
        found = said_events(session, after=heard)
        heard = max((position for position, _ in found), default=heard)
        return [event for _, event in found]

    return since_last_call


@pytest.fixture
def column_store() -> Iterator[Callable[..., None]]:
    """Opens an empty column store in this process with the tables it is called with."""
    with ExitStack() as stack:

        def open_with(*tables: Table) -> None:
            stack.enter_context(empty_columns(*tables))

        yield open_with


class HeldInserts:
    """Inserts into the column store that begin, and go on only when they are let."""

    def __init__(self) -> None:
        self._begun = threading.Event()
        self._going_on = threading.Event()

    def wait_for_one(self) -> None:
        """Return once an insert has begun: what is appended from now on is not in it."""
        assert self._begun.wait(PATIENCE_SECONDS), "nothing is being inserted"

    def let_go(self) -> None:
        """Let them, and all that come, go on."""
        self._going_on.set()

    def hold(self) -> None:
        """What an insert does first."""
        self._begun.set()
        self._going_on.wait(PATIENCE_SECONDS)


@pytest.fixture
def held_inserts(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldInserts]:
    """Holds inserts into the column store back, so that what comes meanwhile has to wait."""
    held = HeldInserts()
    insert = Writer._insert

    def insert_later(writer: Writer, batch: Sequence[Waiting]) -> None:
        held.hold()
        insert(writer, batch)

    monkeypatch.setattr(Writer, "_insert", insert_later)
    yield held
    held.let_go()
