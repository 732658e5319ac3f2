"""Query timing: every statement by its shape, slow and repeated ones said once, memory bounded."""

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mainstay
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from mainstay._internal.clock import Clock
from mainstay.sqlalchemy import (
    QueryStatistics,
    QueryTiming,
    RepeatedQuery,
    SlowQuery,
    insert_in_batches,
)
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session
from starlette.testclient import TestClient
from tests.app_servers import eventually
from tests.database_care.app_databases import Article, Comment, Servers, opened, rows
from tests.guarding import golden


@pytest.fixture
def app(tmp_path: Path) -> Iterator[sa.Engine]:
    with opened(f"sqlite:///{tmp_path / 'app.db'}") as engine:
        yield engine


def of(timing: QueryTiming, beginning: str) -> QueryStatistics:
    (found,) = [one for one in timing.statistics() if one.statement.startswith(beginning)]
    return found


@pytest.mark.slow
def test_statements_are_counted_by_shape_on_every_database(engine: sa.Engine) -> None:
    timing = QueryTiming(engine)
    with Session(engine) as session:
        insert_in_batches(session, Article, rows(20))
        for number in range(20):
            session.execute(sa.select(Article.id).where(Article.slug == f"secret-{number}")).all()
        session.execute(sa.select(Article.id).where(Article.id.in_([1, 2, 3]))).all()
        session.execute(sa.select(Article.id).where(Article.id.in_([1, 2]))).all()

    by_slug = of(timing, "SELECT articles.id FROM articles WHERE articles.slug")
    assert by_slug.count == 20
    assert 0 < by_slug.p50_seconds <= by_slug.p95_seconds <= by_slug.max_seconds
    assert by_slug.max_seconds <= by_slug.total_seconds
    assert of(timing, "SELECT articles.id FROM articles WHERE articles.id IN (?)").count == 2
    assert of(timing, "INSERT INTO articles").count == 1
    assert "secret" not in repr(timing.statistics())


def test_an_error_is_counted_and_its_time_too(app: sa.Engine) -> None:
    timing = QueryTiming(app)
    with app.connect() as connection:
        for _ in range(3):
            with pytest.raises(sa.exc.OperationalError):
                connection.exec_driver_sql("SELECT nothing FROM nowhere WHERE a = 'x'")

    found = of(timing, "SELECT nothing FROM nowhere WHERE a = ?")
    assert (found.count, found.errors) == (3, 3)


def test_a_slow_query_is_said_by_its_shape_and_a_hook_may_query_and_break(
    app: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAINSTAY_RAISE", raising=False)
    slow: list[SlowQuery] = []
    ticks = iter(range(10_000))

    def on_slow(query: SlowQuery) -> None:
        slow.append(query)
        with app.connect() as connection:
            connection.exec_driver_sql("SELECT 'from the hook'")
        raise RuntimeError

    QueryTiming(app, on_slow=on_slow, clock=Clock(monotonic=lambda: float(next(ticks))))
    with app.connect() as connection:
        assert connection.exec_driver_sql("SELECT 7").scalar() == 7

    assert slow == [SlowQuery("SELECT ?", 1.0)]


def test_a_loop_over_lazy_loads_is_said_once_in_a_request(app: sa.Engine) -> None:
    said: list[RepeatedQuery] = []
    timing = QueryTiming(app, repeats_allowed=5, on_repeated=said.append)
    with Session(app) as session:
        insert_in_batches(session, Article, rows(12))
        session.commit()
        with timing.request() as counts:
            for article in session.scalars(sa.select(Article)):
                assert article.comments == []
        for _ in range(20):  # outside of a request nobody counts
            session.execute(sa.select(Comment)).all()

    assert [(one.statement.split(" WHERE ")[1], one.times) for one in said] == [
        ("? = comments.article_id", 6)
    ]
    assert counts[said[0].statement] == 12
    assert of(timing, said[0].statement).repeated == 1


def test_each_request_behind_the_guard_is_counted_by_itself(app: sa.Engine) -> None:
    said: list[RepeatedQuery] = []
    timing = QueryTiming(app, repeats_allowed=3, on_repeated=said.append)
    web = FastAPI()

    @web.get("/articles")
    def articles(times: int) -> dict[str, int]:
        with Session(app) as session:
            for number in range(times):
                session.execute(sa.select(Article).where(Article.id == number)).all()
        return {"times": times}

    guarded: Any = mainstay.Guard(web, policy=golden("policy.minimal.json"))
    with TestClient(guarded) as client:
        for _ in range(5):
            assert client.get("/articles?times=3").json() == {"times": 3}
        assert said == []
        client.get("/articles?times=9")

    assert [one.times for one in said] == [4]
    assert timing.statistics()[0].repeated == 1


def test_memory_is_bounded_however_many_shapes_there_are(app: sa.Engine) -> None:
    timing = QueryTiming(app, most_shapes=50)
    with app.connect() as connection:
        for number in range(3_000):
            connection.exec_driver_sql(f"SELECT 1 AS c{number}")
            connection.exec_driver_sql("SELECT 'used all the time'")
        for number in range(3_000):
            connection.exec_driver_sql(f"SELECT {number} AS one")

    assert len(timing.statistics()) == 50
    assert timing.forgotten >= 2_950
    assert len(timing._texts) <= 2_000
    assert of(timing, "SELECT ? AS one").count == 3_000


def test_who_waits_for_a_connection_is_counted_and_who_gets_none(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'pool.db'}"
    options: dict[str, Any] = {"pool_size": 1, "max_overflow": 1, "pool_timeout": 0.2}
    engine = sa.create_engine(url, **options)
    timing = QueryTiming(engine)

    def check(waits: int, timeouts: int) -> None:
        with engine.connect(), engine.connect():
            full = timing.pool()
            assert (full.size, full.capacity, full.checked_out, full.overflow) == (1, 2, 2, 1)
            with pytest.raises(sa.exc.TimeoutError):
                engine.connect()
        after = timing.pool()
        assert (after.checked_out, after.waits, after.timeouts) == (0, waits, timeouts)
        assert after.wait_seconds >= 0.2 * timeouts
        assert after.max_wait_seconds >= 0.2

    check(1, 1)
    engine.dispose()
    check(2, 2)
    timing.close()
    engine.dispose()


def test_lines_for_prometheus_are_read_by_its_own_parser(app: sa.Engine) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    timing = QueryTiming(app)
    with app.connect() as connection:
        connection.exec_driver_sql('SELECT 1 AS "a \\ ""quoted"" name"')
    families = list(parser.text_string_to_metric_families("\n".join(timing.metrics()) + "\n"))

    samples = {
        (sample.name, sample.labels.get("quantile")): sample
        for family in families
        for sample in family.samples
    }
    counted = samples["mainstay_db_query_seconds_count", None]
    assert counted.value == 1
    assert counted.labels["statement"] == 'SELECT ? AS "a \\ ""quoted"" name"'
    assert samples["mainstay_db_query_seconds", "0.95"].value > 0
    assert samples["mainstay_db_pool_waits_total", None].value == 0


def test_the_apps_metrics_tell_of_its_queries_and_go_on_when_that_breaks(
    app: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAINSTAY_RAISE", raising=False)
    timing = QueryTiming(app)

    def broken() -> list[str]:
        raise RuntimeError

    health = mainstay.Health(more_metrics=[broken, timing.metrics])
    with app.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
    measured: Any = mainstay.ASGIMiddleware(FastAPI(), health=health)
    with TestClient(measured) as client:
        told = client.get("/api/metrics").text

    count = f'mainstay_db_query_seconds_count{{pid="{os.getpid()}",statement="SELECT ?"}} 1'
    assert count in told.splitlines()


def test_what_is_closed_times_no_more_and_leaves_the_engine_as_it_was(app: sa.Engine) -> None:
    timing = QueryTiming(app)
    timing.close()
    timing.close()
    with app.connect() as connection:
        connection.exec_driver_sql("SELECT 1")

    assert timing.statistics() == []
    assert "connect" not in vars(app.pool)


def test_threads_lose_no_count_and_a_fork_waits_for_nobodys_lock(app: sa.Engine) -> None:
    timing = QueryTiming(app)

    def work() -> None:
        with app.connect() as connection:
            for _ in range(200):
                connection.exec_driver_sql("SELECT 1")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert of(timing, "SELECT ?").count == 800

    with timing._lock:
        child = os.fork()
        if child == 0:
            timing.statistics()
            os._exit(7)
    ended: list[int] = []

    def has_ended() -> bool:
        pid, status = os.waitpid(child, os.WNOHANG)
        ended.append(status)
        return pid == child

    eventually(has_ended)
    assert os.waitstatus_to_exitcode(ended[-1]) == 7


@pytest.mark.slow
def test_an_async_engine_is_timed_alike(database_servers: Servers, tmp_path: Path) -> None:
    async def live() -> QueryTiming:
        engine = create_async_engine(database_servers.url("postgresql", tmp_path))
        timing = QueryTiming(engine)

        async def ask() -> None:
            async with engine.connect() as connection:
                await connection.execute(sa.text("SELECT pg_sleep(0.05)"))

        await asyncio.gather(*(ask() for _ in range(8)))
        cancelled = asyncio.create_task(ask())
        await asyncio.sleep(0.02)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        await engine.dispose()
        return timing

    found = of(asyncio.run(live()), "SELECT pg_sleep(?)")
    assert found.count >= 8
    assert found.p50_seconds >= 0.04
