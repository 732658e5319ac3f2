"""Migrations: the one history makes exactly the models, once, whoever starts at the same time."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from mainstay_server.installed import AREAS
from mainstay_server.kernel.database import Base, close_database, engine, open_database
from mainstay_server.kernel.migrations import migrate, migrations_folder, newest_revision
from tests.servers.postgres import PostgresServer
from tests.waiting import PATIENCE_SECONDS

START = (
    "import sys; from mainstay_server.installed import AREAS;"
    " from mainstay_server.kernel.database import open_database;"
    " from mainstay_server.kernel.migrations import migrate;"
    " open_database(sys.argv[1]); migrate()"
)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'mainstay.db'}"


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    return postgres.url_of(postgres.new_database())


@pytest.fixture(params=["sqlite_url", pytest.param("postgres_url", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    yield str(request.getfixturevalue(request.param))
    close_database()


def test_the_history_makes_exactly_the_models(url: str) -> None:
    assert AREAS, "importing the areas is what makes their tables known"
    open_database(url)
    migrate()
    with engine().connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        assert context.get_current_revision() == newest_revision()


def test_migrating_again_changes_nothing(url: str) -> None:
    open_database(url)
    migrate()
    migrate()
    assert sa.inspect(engine()).has_table("outbox_events")


@pytest.mark.slow
def test_processes_that_start_at_once_take_turns(url: str) -> None:
    starts = [subprocess.Popen([sys.executable, "-c", START, url]) for _ in range(4)]
    assert [start.wait(PATIENCE_SECONDS) for start in starts] == [0, 0, 0, 0]


def test_every_migration_is_named_after_its_area() -> None:
    areas = {"kernel", "tenancy", *(area.name for area in AREAS)}
    for file in (migrations_folder() / "versions").glob("*.py"):
        assert any(file.name.startswith(f"{area}_0") for area in areas), file.name
