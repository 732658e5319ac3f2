"""Migrations: the one Alembic history, run at start, by one process at a time."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from .database import engine, is_sqlite

# Any fixed number: the advisory lock that all processes of one installation agree on.
LOCK_NUMBER = 7_245_001
OTHERS_SECONDS = 600


def migrate() -> None:
    """Bring the open database to the newest schema; processes that start at once take turns.

    On SQLite the whole run is one immediate transaction, on PostgreSQL one transaction under an
    advisory lock: a crash in its middle leaves the schema as it was.
    """
    with engine().execution_options(immediate=True).connect() as connection:
        if is_sqlite():
            _wait_for_turns_of_others(connection)
        with connection.begin():
            if not is_sqlite():
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK_NUMBER)))
            command.upgrade(configuration(connection), "head")


def _wait_for_turns_of_others(connection: Connection) -> None:
    """Wait for the write lock as long as migrations of others may take, far longer than requests.

    It holds for this connection alone, which therefore does not go back to the pool.
    """
    connection.detach()
    driver = connection.connection.dbapi_connection
    assert driver is not None
    cursor = driver.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {OTHERS_SECONDS * 1000}")
    cursor.close()


def newest_revision() -> str:
    """The revision that this version of the program needs."""
    return str(ScriptDirectory.from_config(configuration(None)).get_current_head())


def configuration(connection: Connection | None) -> Config:
    """Alembic's configuration for a connection that is open already."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.attributes["connection"] = connection
    return config


def migrations_folder() -> Path:
    """Inside the wheel beside the packages, in a checkout beside the package."""
    package = Path(__file__).parent.parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"
