"""Fresh databases that cost next to nothing: a copy of one that has all tables."""

import shutil
import tempfile
from pathlib import Path

import pytest
from mainstay_server.kernel.database import Base, close_database, engine, open_database
from sqlalchemy.engine import Engine
from tests.servers.postgres import PostgresServer

# For tests of what both relational stores must promise: `pytestmark = on_both_stores`.
on_both_stores = pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)


_first_engines: dict[str, Engine] = {}


class _Template:
    """The database that is copied; made again when tests import further tables."""

    folder: Path | None = None
    tables = 0


def fresh_sqlite(folder: Path) -> str:
    """Make a database with the tables of everything imported in the folder; returns its URL.

    No database may be open. Making the tables takes 25 ms and waits for the disk once for each,
    which every second test would pay for; so this process makes them once and then copies the file.
    """
    file = folder / "mainstay.db"
    shutil.copyfile(_template(), file)
    return f"sqlite:///{file}"


def open_fresh_sqlite(folder: Path) -> None:
    """Open a database in the folder with the tables of everything imported."""
    open_database(fresh_sqlite(folder))
    _go_on_with_statements(engine())


def open_fresh_postgres(server: PostgresServer) -> None:
    """Open a database of the server with the tables of everything imported."""
    open_database(server.url_of(server.new_database()))
    Base.metadata.create_all(engine())
    _go_on_with_statements(engine())


def _go_on_with_statements(opened: Engine) -> None:
    """Have an engine use the SQL that was made of statements while others were open.

    Making SQL of a statement takes many times as long as SQLite takes to run it, and in a process
    with one engine happens once. What is kept belongs to a dialect, so that is shared as well.
    """
    first = _first_engines.setdefault(opened.dialect.name, opened)
    opened.dialect = first.dialect
    opened._compiled_cache = first._compiled_cache


def forget_template() -> None:
    """Remove what is copied, at the end of the tests: workers end without any last words."""
    if _Template.folder is not None:
        shutil.rmtree(_Template.folder, ignore_errors=True)
    _Template.folder, _Template.tables = None, 0


def _template() -> Path:
    if _Template.folder is None:
        _Template.folder = Path(tempfile.mkdtemp(prefix="mainstay-template-"))
    file = _Template.folder / "mainstay.db"
    if _Template.tables != len(Base.metadata.tables):
        file.unlink(missing_ok=True)
        open_database(f"sqlite:///{file}")
        Base.metadata.create_all(engine())
        close_database()  # which writes everything into the one file
        _Template.tables = len(Base.metadata.tables)
    return file
