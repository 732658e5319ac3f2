"""Claim: a verdict is a few microseconds in memory, and elsewhere about the one call it needs.

For each store the processor time and the wall time of a verdict, on one bucket and on three, next
to the least that could be done there in the same run: setting a key of a dictionary under a lock,
one round trip to Redis (GET), one upsert in a transaction of its own. They take turns, so that what
else the machine does falls on all of them. Last, what the layer in front of Mainstay's own API adds
to a call: two buckets, five header fields.

    python benchmarks/rate_limits.py
"""

import asyncio
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
import sqlalchemy as sa
from mainstay_server.app.limiting import Limited
from mainstay_server.kernel.database import (
    Base,
    close_database,
    engine,
    open_database,
    transaction,
)
from mainstay_server.kernel.limits import Bucket, Limiter, LimitSettings, Rate
from mainstay_server.kernel.limits.in_redis import RedisBuckets
from mainstay_server.kernel.limits.in_sql import SqlBuckets
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "server"))

from tests.servers.postgres import running_postgres  # noqa: E402 - found by the line above
from tests.servers.redis import running_redis  # noqa: E402 - same

ROUNDS = 9
PEOPLE = 1_000
RATES = (Rate(6_000, 60, 6_000), Rate(30_000, 60, 30_000), Rate(100, 1, 1_000))
UPSERT = sa.text(
    "INSERT INTO limit_buckets (key, tat_us) VALUES (:key, :tat)"
    " ON CONFLICT (key) DO UPDATE SET tat_us = excluded.tat_us"
)

Call = Callable[[int], object]


def measure(calls: dict[str, Call], *, times: int) -> dict[str, tuple[float, float]]:
    """Microseconds of processor and of wall time for each call: medians over rounds in turn."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for turn in range(ROUNDS):
        for name, call in calls.items():
            cpu, wall = time.process_time(), time.perf_counter()
            for number in range(times):
                call(turn * times + number)
            took = (time.process_time() - cpu, time.perf_counter() - wall)
            found[name].append((took[0] / times * 1e6, took[1] / times * 1e6))
    return {
        name: (statistics.median(r[0] for r in rounds), statistics.median(r[1] for r in rounds))
        for name, rounds in found.items()
    }


def verdicts(limiter: Limiter, how_many: int) -> Call:
    """A call that takes a verdict about so many buckets of one of a thousand people."""
    prepared = [
        [Bucket(f"{person}:{place}", rate) for place, rate in enumerate(RATES[:how_many])]
        for person in range(PEOPLE)
    ]
    # A clock that passes 0.1 s a verdict keeps the buckets in use and nobody refused.
    return lambda number: limiter.take(
        prepared[number % PEOPLE], now_us=1_795_230_000_000_000 + number * 100_000
    )


def report(place: str, least: str, figures: dict[str, tuple[float, float]]) -> None:
    base_cpu, base_wall = figures["least"]
    print(f"{place}: {least} takes {base_wall:,.1f} us ({base_cpu:,.1f} us of processor)")
    for name in ("one bucket", "three buckets"):
        cpu, wall = figures[name]
        print(
            f"  a verdict on {name}: {wall:,.1f} us ({cpu:,.1f} us of processor),"
            f" {1e6 / wall:,.0f}/s, ratio {wall / base_wall:.2f} (processor {cpu / base_cpu:.2f})"
        )


def in_memory() -> None:
    limiter, known, lock = Limiter(), dict[str, int](), threading.Lock()
    keys = [str(number) for number in range(PEOPLE)]

    def set_a_key(number: int) -> None:
        with lock:
            known[keys[number % PEOPLE]] = number

    calls = {"least": set_a_key, "one bucket": verdicts(limiter, 1)}
    figures = measure({**calls, "three buckets": verdicts(limiter, 3)}, times=20_000)
    report("memory", "setting a key of a dictionary under a lock", figures)


def in_redis() -> None:
    with running_redis() as server:
        limiter, client = (
            Limiter(RedisBuckets(server.url, own_clock=True)),
            redis.Redis.from_url(server.url),
        )
        calls: dict[str, Call] = {
            "least": lambda number: client.get(f"key:{number % PEOPLE}"),
            "one bucket": verdicts(limiter, 1),
            "three buckets": verdicts(limiter, 3),
        }
        report("Redis", "one round trip (GET)", measure(calls, times=1_000))
        limiter.close()
        client.close()


@contextmanager
def opened(url: str) -> Iterator[None]:
    open_database(url)
    Base.metadata.create_all(engine())
    yield
    close_database()


def in_sql(place: str, url: str) -> None:
    def upsert(number: int) -> None:
        with transaction() as session:
            session.execute(UPSERT, {"key": f"least:{number % PEOPLE}", "tat": number})

    with opened(url):
        limiter = Limiter(SqlBuckets(own_clock=False))
        calls: dict[str, Call] = {"least": upsert, "one bucket": verdicts(limiter, 1)}
        figures = measure({**calls, "three buckets": verdicts(limiter, 3)}, times=100)
        report(place, "one upsert in a transaction", figures)
        limiter.close()


def in_front_of_the_api() -> None:
    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def refuse(_request: Request, error: Exception) -> Response:
        raise error

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(_message: Message) -> None:
        pass

    settings = LimitSettings(limit_api_per_minute=600_000, limit_address_per_minute=600_000)
    limited = Limited(answer, settings, refuse)
    asked = {
        "type": "http",
        "method": "GET",
        "path": "/api/projects",
        "client": ("203.0.113.9", 50_000),
        "headers": [(b"host", b"mainstay"), (b"authorization", b"Bearer mst_" + b"x" * 46)],
    }

    async def call(app: ASGIApp) -> float:
        begun = time.process_time()
        for _ in range(20_000):
            await app(dict(asked), receive, send)
        return (time.process_time() - begun) / 20_000 * 1e6

    async def take_turns() -> list[tuple[float, float]]:
        return [(await call(answer), await call(limited)) for _ in range(ROUNDS)]

    rounds = asyncio.run(take_turns())
    bare = statistics.median(pair[0] for pair in rounds)
    added = statistics.median(pair[1] for pair in rounds) - bare
    print(f"in front of the API: {added:.1f} us of processor on top of {bare:.1f} us of a null app")


def main() -> None:
    in_memory()
    in_front_of_the_api()
    in_redis()
    with running_postgres() as server:
        in_sql("PostgreSQL", server.url_of(server.new_database()))
    with tempfile.TemporaryDirectory() as folder:
        in_sql("SQLite", f"sqlite:///{Path(folder) / 'limits.db'}")


if __name__ == "__main__":
    main()
