"""Statistics: what each database knows of its tables, and None for what it does not."""

import pytest
import sqlalchemy as sa
from mainstay.sqlalchemy import TableStatistics, insert_in_batches, table_statistics
from tests.database_care.app_databases import Article, rows

pytestmark = pytest.mark.slow


def of_articles(engine: sa.Engine, *, exact: bool = False) -> TableStatistics:
    (found,) = [one for one in table_statistics(engine, exact=exact) if one.name == "articles"]
    return found


def filled(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        insert_in_batches(connection, Article, rows(2_000))
        connection.exec_driver_sql(
            "CREATE INDEX by_rank ON articles (`rank`)"
            if is_maria(engine)
            else 'CREATE INDEX by_rank ON articles ("rank")'
        )
        connection.exec_driver_sql(
            "CREATE INDEX by_rank_and_date ON articles (`rank`, published)"
            if is_maria(engine)
            else 'CREATE INDEX by_rank_and_date ON articles ("rank", published)'
        )


def is_maria(engine: sa.Engine) -> bool:
    return engine.dialect.name == "mysql"


def test_every_table_has_rows_bytes_and_indexes_the_biggest_first(engine: sa.Engine) -> None:
    filled(engine)
    if engine.dialect.name != "sqlite":
        with engine.begin() as connection:
            connection.exec_driver_sql("ANALYZE TABLE articles" if is_maria(engine) else "ANALYZE")

    tables = table_statistics(engine)
    articles = of_articles(engine)

    assert tables[0].name == "articles"
    assert {one.name for one in tables} >= {"articles", "comments", "folders"}
    assert articles.rows is not None
    assert 1_500 <= articles.rows <= 2_500, "an estimate, and close"
    assert articles.rows_are_exact == (engine.dialect.name == "sqlite")
    assert (articles.table_bytes or 0) > 20_000
    assert (articles.index_bytes or 0) > 10_000
    assert of_articles(engine, exact=True).rows == 2_000
    assert of_articles(engine, exact=True).rows_are_exact


def test_an_index_that_another_begins_with_is_named(engine: sa.Engine) -> None:
    filled(engine)
    indexes = {index.name: index for index in of_articles(engine).indexes}

    assert indexes["by_rank"].covered_by == "by_rank_and_date"
    assert indexes["by_rank_and_date"].covered_by is None
    assert indexes["by_rank_and_date"].columns == ("rank", "published")
    assert all(one.covered_by is None for one in indexes.values() if one.is_unique)


def test_postgres_tells_who_uses_an_index_who_reads_it_all_and_what_is_dead(
    engine: sa.Engine,
) -> None:
    if engine.dialect.name != "postgresql":
        told = of_articles(engine)
        assert (told.dead_rows, told.last_vacuum, told.sequential_scans) == (None, None, None)
        return
    filled(engine)
    with engine.begin() as connection:
        for number in range(50):
            connection.execute(sa.select(Article).where(Article.slug == f"article-{number}")).all()
        connection.execute(sa.select(sa.func.sum(Article.rank))).all()
        connection.execute(sa.delete(Article).where(Article.id < 300))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
        dead = of_articles(engine).dead_rows
        connection.exec_driver_sql("VACUUM ANALYZE articles")

    told = of_articles(engine)
    indexes = {index.name: index for index in told.indexes}
    assert dead == 300
    assert told.dead_rows == 0
    assert told.last_vacuum is not None
    assert told.last_analyze is not None
    assert (told.sequential_scans or 0) >= 1
    assert (told.index_scans or 0) >= 50
    assert (indexes["articles_slug_key"].scans or 0) >= 50
    assert indexes["by_rank"].is_unused
    assert not indexes["articles_slug_key"].is_unused
    assert (indexes["by_rank"].bytes or 0) > 0


def test_mariadb_tells_which_indexes_were_read(engine: sa.Engine) -> None:
    if not is_maria(engine):
        return
    filled(engine)
    with engine.begin() as connection:
        connection.execute(sa.select(Article).where(Article.slug == "article-5")).all()

    scans = {index.name: index.scans for index in of_articles(engine).indexes}
    assert (scans["slug"] or 0) >= 1
    assert scans["by_rank"] == 0


def test_a_schema_of_ones_own_is_asked_alone(engine: sa.Engine) -> None:
    if engine.dialect.name != "postgresql":
        return
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA apart")
        connection.exec_driver_sql('CREATE TABLE apart."Its" (id int PRIMARY KEY)'.replace("'", ""))
    (one,) = table_statistics(engine, schema="apart", exact=True)

    assert (one.schema, one.rows, one.rows_are_exact) == ("apart", 0, True)
    assert [index.name for index in one.indexes] == ["Its_pkey"]
