"""Repeats: a batch that is sent again, because its answer was lost, is stored once."""

import asyncio
from datetime import timedelta

from starlette.concurrency import run_in_threadpool

from mainstay_server.kernel import shared
from mainstay_server.kernel.problems import Unavailable

from .store import append
from .tables import JSON_LINES, Encoding, Table

REMEMBERED_FOR = timedelta(hours=1)

_being_stored: dict[str, asyncio.Task[None]] = {}


async def append_once(
    table: Table, body: bytes, *, rows: int, batch: str, encoding: Encoding = JSON_LINES
) -> None:
    """Do what `append` does, and nothing for a batch that was stored within the last hour.

    `batch` names it among all batches of the table. A repeat that comes while the first is still
    being stored waits for it, and ends as it ends; nobody who goes away stops it. Only what falls
    between the storing and the remembering doubles: the end of the process, or, where several share
    a Redis that is away, a repeat to another of them.
    """
    name = f"stored:{table.name}:{batch}"
    storing = _being_stored.get(name)
    if storing is None:
        storing = asyncio.create_task(_store(name, table, body, rows=rows, encoding=encoding))
        _being_stored[name] = storing
        storing.add_done_callback(lambda _: _being_stored.pop(name, None))
    await asyncio.shield(storing)


async def _store(name: str, table: Table, body: bytes, *, rows: int, encoding: Encoding) -> None:
    if await run_in_threadpool(_is_stored, name):
        return
    await append(table, body, rows=rows, encoding=encoding)
    await run_in_threadpool(_remember, name)


def _is_stored(name: str) -> bool:
    try:
        return shared.get(name) is not None
    except Unavailable:
        return False


def _remember(name: str) -> None:
    try:
        shared.put(name, b"1", expires_after=REMEMBERED_FOR)
    except Unavailable:
        return
