"""Batches: any number of rows, in the caller's transaction, and the bad ones named."""

import asyncio
import contextlib
import tracemalloc
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from mainstay.sqlalchemy import BadRow, RowRefused, insert_in_batches, update_in_batches
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from tests.database_care.app_databases import Article, Comment, Servers, opened, rows

pytestmark = pytest.mark.slow


def titles(session: Session) -> dict[int, str]:
    found = session.execute(sa.select(Article.id, Article.headline).order_by(Article.id))
    return {number: title for number, title in found}  # noqa: C416 - rows are not pairs to mypy


def test_a_generator_of_rows_goes_in_batch_by_batch_and_is_the_callers_to_commit(
    engine: sa.Engine,
) -> None:
    with Session(engine) as session:
        done = insert_in_batches(session, Article, rows(2_500))
        assert (done.rows, done.changed, done.bad, done.batches) == (2_500, 2_500, 0, 3)
        session.rollback()
        assert titles(session) == {}, "nothing was committed"

        insert_in_batches(session, Article, rows(2_500))
        session.commit()
        assert len(titles(session)) == 2_500


def test_a_batch_never_holds_more_values_than_the_database_takes(engine: sa.Engine) -> None:
    table = sa.Table(
        "wide",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        *(sa.Column(f"c{number}", sa.Integer) for number in range(100)),
    )
    table.create(engine)
    wide = ({"id": n + 1, **{f"c{c}": c for c in range(100)}} for n in range(1_000))
    with engine.begin() as connection:
        done = insert_in_batches(connection, table, wide, size=10_000)
        most = engine.dialect.insertmanyvalues_max_parameters // 101

    assert done.changed == 1_000
    assert done.batches == -(-1_000 // most) > 1


def test_memory_is_bounded_by_the_batch_however_many_rows(tmp_path: Path) -> None:
    def peak(how_many: int) -> int:
        with opened(f"sqlite:///{tmp_path / str(how_many)}.db") as engine, engine.begin() as one:
            insert_in_batches(one, Article, rows(10), size=200)
            tracemalloc.start()
            insert_in_batches(one, Article, rows(how_many, begin=10), size=200)
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return most

    assert peak(20_000) < 2 * peak(2_000)


def test_the_first_row_that_is_refused_is_named_and_its_values_are_not_told(
    engine: sa.Engine,
) -> None:
    given = [*rows(700), {"id": 700, "slug": "article-3", "headline": "Somebody's secret"}]
    with Session(engine) as session, pytest.raises(RowRefused) as refused:
        insert_in_batches(session, Article, given)

    assert refused.value.bad.index == 700
    assert refused.value.bad.reason in ("IntegrityError", "UniqueViolation")
    assert "secret" not in str(refused.value) + repr(refused.value.bad)
    assert "secret" not in str(refused.value.bad.error)


def test_bad_rows_are_handed_over_and_the_others_go_in(engine: sa.Engine) -> None:
    bad: list[BadRow] = []
    given = list(rows(1_000))
    given[17]["slug"] = None
    given[500]["slug"] = "article-499"
    given[999]["published"] = None
    given[998]["rank"] = object()

    with Session(engine) as session:
        given = [{"rank": 1, "published": datetime(2026, 1, 1), **row} for row in given]  # noqa: DTZ001 - as the column is
        done = insert_in_batches(session, Article, given, size=300, on_bad_row=bad.append)
        session.commit()
        assert sorted(titles(session)) == [n for n in range(1_000) if n not in (17, 500, 998)]

    assert [row.index for row in bad] == [17, 500, 998]
    assert bad[1].row["slug"] == "article-499"
    assert (done.rows, done.changed, done.bad) == (1_000, 997, 3)


def test_what_is_not_about_rows_is_raised_as_it_is(engine: sa.Engine) -> None:
    bad: list[BadRow] = []
    missing = sa.Table("missing", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))

    with engine.begin() as connection, pytest.raises(sa.exc.DBAPIError):
        insert_in_batches(connection, missing, [{"id": 1}, {"id": 2}], on_bad_row=bad.append)

    assert bad == []


def test_a_row_that_is_there_is_skipped_or_overwritten(engine: sa.Engine) -> None:
    counts_upserts = engine.dialect.name in ("sqlite", "postgresql")
    with Session(engine) as session:
        insert_in_batches(session, Article, rows(10))

        skipped = insert_in_batches(session, Article, rows(20), on_conflict="skip")
        assert len(titles(session)) == 20
        assert skipped.changed == (10 if counts_upserts else None)

        news = [{"id": 5, "slug": "new", "headline": "New"}, *rows(3, begin=20)]
        insert_in_batches(session, Article, news, on_conflict="update")
        assert titles(session)[5] == "New"
        assert titles(session)[4] == "Title 4"
        assert len(titles(session)) == 23

        by_slug = [{"id": 99, "slug": "article-6", "headline": "By its slug"}]
        if counts_upserts:
            by_slug[0].pop("id")
            by_slug[0]["id"] = 6
        insert_in_batches(session, Article, by_slug, on_conflict="update", unique_by=["slug"])
        assert "By its slug" in titles(session).values()
        assert len(titles(session)) == 23


def test_of_two_rows_with_one_key_in_one_batch_the_later_wins(engine: sa.Engine) -> None:
    twice = [*rows(50), *({**row, "headline": "Again"} for row in rows(50))]
    with Session(engine) as session:
        done = insert_in_batches(session, Article, twice, on_conflict="update")
        assert set(titles(session).values()) == {"Again"}
    assert (done.rows, done.bad) == (100, 0)


def test_skipping_swallows_nothing_but_what_is_there(engine: sa.Engine) -> None:
    with Session(engine) as session, pytest.raises(RowRefused):
        insert_in_batches(session, Article, [{"id": 1, "slug": None}], on_conflict="skip")


def test_rows_with_other_keys_get_their_own_defaults_and_lose_nothing(engine: sa.Engine) -> None:
    mixed = [{"id": 1, "slug": "a"}, {"id": 2, "slug": "b", "headline": "Given"}]
    with Session(engine) as session:
        insert_in_batches(session, Article, mixed)
        assert titles(session) == {1: "untitled", 2: "Given"}


@pytest.mark.parametrize("name", ["nobody", "title) VALUES (1,'x',1,1,1); DROP TABLE articles --"])
def test_a_name_that_is_no_column_is_refused_before_anything_is_sent(
    engine: sa.Engine, name: str
) -> None:
    with Session(engine) as session:
        with pytest.raises(ValueError, match="has no column"):
            insert_in_batches(session, Article, [{"id": 1, "slug": "a", name: 1}])
        with pytest.raises(ValueError, match="has no column"):
            update_in_batches(session, Article, [{"id": 1, name: 1}])
        with pytest.raises(ValueError, match="has no column"):
            insert_in_batches(session, Article, rows(1), on_conflict="skip", unique_by=[name])
        assert titles(session) == {}


def test_updates_go_by_primary_key_and_leave_what_they_do_not_name(engine: sa.Engine) -> None:
    with Session(engine) as session:
        insert_in_batches(session, Article, rows(1_200))
        changes = ({"id": n, "headline": f"Now {n}"} for n in range(1_000, 1_300))
        done = update_in_batches(session, Article, changes, size=100)
        session.commit()
        found = titles(session)

    assert (done.rows, done.changed, done.batches) == (300, 200, 3), "a hundred are not there"
    assert (found[999], found[1_000], found[1_199]) == ("Title 999", "Now 1000", "Now 1199")


def test_a_bad_update_is_named_and_a_row_without_its_key_refused(engine: sa.Engine) -> None:
    bad: list[BadRow] = []
    with Session(engine) as session:
        insert_in_batches(session, Article, rows(100))
        changes = [{"id": n, "slug": f"new-{n}" if n != 60 else "new-1"} for n in range(100)]
        done = update_in_batches(session, Article, changes, on_bad_row=bad.append)
        with pytest.raises(ValueError, match="Row 0 lacks its primary key: id"):
            update_in_batches(session, Article, [{"headline": "Whose?"}])
    assert [row.index for row in bad] == [60]
    assert (done.changed, done.bad) == (99, 1)


def test_a_generator_that_raises_leaves_the_transaction_to_the_caller(engine: sa.Engine) -> None:
    def breaking() -> Iterator[dict[str, Any]]:
        yield from rows(250)
        raise ConnectionError("the source went away")

    with Session(engine) as session:
        with pytest.raises(ConnectionError):
            insert_in_batches(session, Article, breaking(), size=100)
        assert len(titles(session)) == 200, "whole batches, still uncommitted"
        session.rollback()
        assert titles(session) == {}


def test_pending_objects_go_first_so_that_rows_may_refer_to_them(engine: sa.Engine) -> None:
    with Session(engine) as session:
        session.add(Article(id=1, slug="parent"))
        insert_in_batches(session, Comment, [{"id": 1, "article_id": 1}])
        assert session.get(Comment, 1) is not None


def test_an_async_session_runs_it_and_a_cancelled_one_leaves_nothing(
    database_servers: Servers, tmp_path: Path
) -> None:
    url = database_servers.url("postgresql", tmp_path)

    async def live() -> int:
        engine = create_async_engine(url)
        async with AsyncSession(engine) as session:
            await session.run_sync(insert_in_batches, Article, rows(1_500))
            await session.commit()

        async def too_long() -> None:
            async with AsyncSession(engine) as session:
                await session.run_sync(insert_in_batches, Article, rows(10**9, begin=10_000))

        task = asyncio.create_task(too_long())
        await asyncio.sleep(0.5)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        async with AsyncSession(engine) as session:
            count = await session.scalar(sa.select(sa.func.count()).select_from(Article))
        await engine.dispose()
        return count or 0

    with opened(url):
        assert asyncio.run(live()) == 1_500


def test_an_async_session_handed_over_is_told_what_to_write(tmp_path: Path) -> None:
    wrong: Any = AsyncSession()
    with pytest.raises(TypeError, match=r"await session\.run_sync"):
        insert_in_batches(wrong, Article, [])
