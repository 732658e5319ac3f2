"""Claim: an answer that is kept costs less processor time than the smallest endpoint that makes it.

One FastAPI endpoint: bare, and with `mainstay.cache.ResponseCache` around it, for an answer that is
kept (a hit, and a hit of a client that has it already), one that never is (it gets an ETag), and
one that is made and kept anew each time. Called directly; rounds are interleaved, and the figure is
processor time, so a busy machine makes all of them slower alike.

    python benchmarks/answers.py
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from typing import Any

from fastapi import FastAPI
from mainstay.cache import Cache, ResponseCache, kept

ROUNDS = 9
REQUESTS = 1_000
BODY = {"text": "y" * 1_000}
App = Callable[[Any, Any, Any], Awaitable[None]]


def an_app() -> FastAPI:
    app = FastAPI()

    @app.get("/kept/{number}")
    @kept(60, public=True)
    async def get_kept(number: int) -> dict[str, str]:
        return {**BODY, "number": str(number)}

    @app.get("/other/{number}")
    async def get_other(number: int) -> dict[str, str]:
        return {**BODY, "number": str(number)}

    return app


def asked(path: str, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    sent = [(b"host", b"shop"), (b"accept", b"*/*"), (b"user-agent", b"x" * 60), *headers]
    return {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": path,
        "raw_path": path.encode(), "root_path": "", "query_string": b"a=1", "headers": sent,
        "client": ("203.0.113.9", 50_000), "server": ("127.0.0.1", 80),
    }  # fmt: skip


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b""}


async def send(_message: object) -> None:
    pass


async def measured(app: App, scopes: list[dict[str, Any]]) -> float:
    """Return microseconds of processor time per request."""
    began = time.process_time()
    for scope in scopes:
        await app(scope, receive, send)
    return (time.process_time() - began) / len(scopes) * 1e6


def variants(numbers: Iterator[int]) -> dict[str, Callable[[], list[dict[str, Any]]]]:
    known = (b"if-none-match", b"*")
    return {
        "bare": lambda: [asked("/other/1") for _ in range(REQUESTS)],
        "kept: hit": lambda: [asked("/kept/1") for _ in range(REQUESTS)],
        "kept: 304": lambda: [asked("/kept/1", known) for _ in range(REQUESTS)],
        "never kept": lambda: [asked("/other/1") for _ in range(REQUESTS)],
        "made and kept": lambda: [asked(f"/kept/{next(numbers)}") for _ in range(REQUESTS)],
    }


async def main() -> None:
    bare = an_app()
    around: App = ResponseCache(Cache())(bare)
    took: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, scopes in variants(numbers).items():
            figure = await measured(bare if name == "bare" else around, scopes())
            took.setdefault(name, []).append(figure)
    yardstick = statistics.median(took["bare"])
    for name, figures in took.items():
        figure = statistics.median(figures)
        print(
            f"{name:14} {figure:7.1f} us a request   {figure / yardstick:5.2f} of the bare endpoint"
        )


numbers = count(2)

if __name__ == "__main__":
    asyncio.run(main())
