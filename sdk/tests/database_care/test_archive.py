"""Archives: a record is in one of two tables, whoever is killed and whenever."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import mainstay
import pytest
import sqlalchemy as sa
from mainstay.sqlalchemy import (
    ArchiveConflict,
    Archived,
    archive,
    archive_table,
    insert_in_batches,
)
from sqlalchemy.ext.asyncio import create_async_engine
from tests.database_care.app_databases import Article, Base, Comment, Folder, Servers, opened, table

pytestmark = pytest.mark.slow

OLD_ARTICLES = archive_table(Article)
OLD_FOLDERS = archive_table(Folder)
NARROW = sa.Table("narrow", Base.metadata, sa.Column("id", sa.Integer, primary_key=True))
OLD = Article.id < 800

# What is killed: a process of its own that archives slowly.
ARCHIVING = """
import sys
import sqlalchemy as sa
from mainstay.sqlalchemy import archive
engine = sa.create_engine(sys.argv[1])
metadata = sa.MetaData()
old = sa.Table("articles_archive", metadata, autoload_with=engine)
articles = sa.Table("articles", metadata, autoload_with=engine)
print("ready", flush=True)
archive(engine, articles, where=articles.c.id < 800, to=old, size=7, pause_seconds=0.002)
"""


def ids(connection: sa.Connection, table: sa.Table) -> list[int]:
    return list(connection.scalars(sa.select(table.c.id).order_by(table.c.id)))


def filled(engine: sa.Engine, how_many: int = 1_000) -> None:
    with engine.begin() as connection:
        insert_in_batches(connection, table(Article), titled(how_many))


def titled(how_many: int) -> list[dict[str, object]]:
    return [{"id": n, "slug": f"article-{n}", "title": "T"} for n in range(how_many)]


def test_old_records_move_and_the_others_stay(engine: sa.Engine) -> None:
    filled(engine)
    planned = archive(engine, Article, where=OLD, to=OLD_ARTICLES, dry_run=True)
    done = archive(engine, Article, where=OLD, to=OLD_ARTICLES, size=300, pause_seconds=0)

    assert planned == Archived(matching=800, referenced=0, copied=0, removed=0, batches=0)
    assert done == Archived(matching=800, referenced=0, copied=800, removed=800, batches=3)
    with engine.connect() as connection:
        assert ids(connection, OLD_ARTICLES) == list(range(800))
        assert ids(connection, table(Article)) == list(range(800, 1_000))
        copy = connection.execute(sa.select(OLD_ARTICLES).where(OLD_ARTICLES.c.id == 7)).one()
        assert (copy.slug, copy.title, copy.rank) == ("article-7", "T", None)
        assert copy.archived_at is not None


def test_a_copy_alone_is_made_once_and_may_be_removed_later(engine: sa.Engine) -> None:
    filled(engine, 50)
    first = archive(engine, Article, where=OLD, to=OLD_ARTICLES, remove=False, pause_seconds=0)
    again = archive(engine, Article, where=OLD, to=OLD_ARTICLES, remove=False, pause_seconds=0)
    moved = archive(engine, Article, where=OLD, to=OLD_ARTICLES, pause_seconds=0)

    assert [(one.copied, one.removed) for one in (first, again, moved)] == [
        (50, 0),
        (0, 0),
        (0, 50),
    ]
    with engine.connect() as connection:
        assert ids(connection, OLD_ARTICLES) == list(range(50))


def test_a_record_whose_key_the_archive_holds_for_another_is_not_removed(
    engine: sa.Engine,
) -> None:
    filled(engine, 50)
    archive(engine, Article, where=Article.id == 49, to=OLD_ARTICLES)
    with engine.begin() as connection:  # SQLite gives the key of the last row away again
        other = {"id": 49, "slug": "another", "title": "T"}
        insert_in_batches(connection, table(Article), [other])

    with pytest.raises(ArchiveConflict, match="articles_archive holds other records"):
        archive(engine, Article, where=OLD, to=OLD_ARTICLES, pause_seconds=0)

    with engine.connect() as connection:
        assert len(ids(connection, table(Article))) == 50


def test_what_a_foreign_key_points_at_stays_and_takes_nothing_along(engine: sa.Engine) -> None:
    filled(engine, 100)
    with engine.begin() as connection:
        insert_in_batches(connection, Comment, [{"id": 1, "article_id": 7}])

    planned = archive(engine, Article, where=OLD, to=OLD_ARTICLES, dry_run=True)
    done = archive(engine, Article, where=OLD, to=OLD_ARTICLES, pause_seconds=0)

    assert (planned.matching, planned.referenced) == (100, 1)
    assert (done.referenced, done.removed) == (1, 99)
    with engine.connect() as connection:
        assert ids(connection, table(Article)) == [7]
        assert ids(connection, table(Comment)) == [1]


def test_a_tree_is_moved_from_its_leaves(engine: sa.Engine) -> None:
    folders = [{"id": n, "parent_id": n - 1 or None} for n in range(1, 8)]
    with engine.begin() as connection:
        insert_in_batches(connection, Folder, folders)

    done = archive(engine, Folder, where=Folder.id > 3, to=OLD_FOLDERS, size=2, pause_seconds=0)

    assert (done.referenced, done.removed) == (0, 4)
    with engine.connect() as connection:
        assert ids(connection, table(Folder)) == [1, 2, 3]


def test_killed_again_and_again_it_loses_and_doubles_nothing(
    database_servers: Servers, tmp_path: Path, kind: str
) -> None:
    url = database_servers.url(kind, tmp_path)
    chance = random.Random(3)
    with opened(url) as engine:
        filled(engine)
        kills = 0
        while kills < 6:
            process = subprocess.Popen(
                [sys.executable, "-c", ARCHIVING, url],
                cwd=Path(mainstay.__file__).parents[1],
                stdout=subprocess.PIPE,
            )
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(chance.uniform(0.05, 0.25))
            process.kill()
            kills += process.wait() == -signal.SIGKILL
            process.stdout.close()
            with engine.connect() as connection:
                here, there = ids(connection, table(Article)), ids(connection, OLD_ARTICLES)
            assert sorted(here + there) == list(range(1_000)), "each record once"
            if len(there) == 800:
                break
        assert kills >= 1
        archive(engine, Article, where=OLD, to=OLD_ARTICLES, pause_seconds=0)
        with engine.connect() as connection:
            assert ids(connection, OLD_ARTICLES) == list(range(800))
            assert ids(connection, table(Article)) == list(range(800, 1_000))


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_an_archive_that_would_lose_something_is_refused(tmp_path: Path) -> None:
    keyless = sa.Table(
        "keyless",
        sa.MetaData(),
        *(sa.Column(column.key, column.type) for column in Article.__table__.columns),
    )
    with opened(f"sqlite:///{tmp_path / 'app.db'}") as engine:
        with pytest.raises(ValueError, match="narrow lacks columns of articles: slug, title"):
            archive(engine, Article, where=OLD, to=NARROW)
        with pytest.raises(ValueError, match="keyless has no primary key"):
            archive(engine, Article, where=OLD, to=keyless)
        with pytest.raises(ValueError, match="its own archive"):
            archive(engine, Article, where=OLD, to=Article)
        with engine.begin() as connection, pytest.raises(ValueError, match="in a transaction"):
            archive(connection, Article, where=OLD, to=OLD_ARTICLES)
        unsafe = engine.execution_options(isolation_level="AUTOCOMMIT")
        with pytest.raises(ValueError, match="AUTOCOMMIT"):
            archive(unsafe, Article, where=OLD, to=OLD_ARTICLES)


def test_an_async_connection_archives_and_its_pause_lets_others_work(
    database_servers: Servers, tmp_path: Path
) -> None:
    url = database_servers.url("postgresql", tmp_path)

    async def live() -> tuple[Archived, int]:
        engine = create_async_engine(url)
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.01)

        working = asyncio.create_task(others())
        async with engine.connect() as connection:
            done = await connection.run_sync(
                lambda one: archive(
                    one, Article, where=OLD, to=OLD_ARTICLES, size=20, pause_seconds=0.2
                )
            )
        working.cancel()
        await engine.dispose()
        return done, turns

    with opened(url) as engine:
        filled(engine, 100)
        done, turns = asyncio.run(live())
    assert done.removed == 100
    assert turns > 20, "five pauses of 0.2 s"
