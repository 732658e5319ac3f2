"""Killed at any moment: every answered event is in its issue, and the counts are exact."""

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2 as httpx
import pytest
from mainstay_server.areas.errors.columns import ERROR_EVENTS
from mainstay_server.areas.errors.models import Issue, IssueInstance
from mainstay_server.areas.errors.service import finishing, folding
from mainstay_server.areas.errors.service.folding import Place, Seen
from mainstay_server.kernel import columns
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import (
    close_database,
    reading,
    transaction,
)
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from tests.column_stores import let_go_of_columns
from tests.databases import open_fresh_postgres
from tests.servers.postgres import PostgresServer
from tests.waiting import PATIENCE_SECONDS

from .conftest import KEY, NOON, event_envelope, our_project
from .test_service_intake import a_kind

SERVER = """
import asyncio, sys, uvicorn
from pathlib import Path
from mainstay_server.app.front import Front
from mainstay_server.areas.errors import area
from mainstay_server.kernel import columns, database

folder = Path(sys.argv[1])
database.open_database(f"sqlite:///{folder / 'mainstay.db'}")
columns.open_columns(f"chdb://{folder / 'columns'}", tables=list(area.tables))
app = Front({door.path: door for door in area.doors}, None)
server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))

async def main():
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await serving

asyncio.run(main())
"""


async def send_until_killed(url: str, acknowledged: list[str], server: Any, moment: float) -> None:
    """Send from 30 connections at once, and kill the server at the moment."""

    async def one(client: httpx.AsyncClient) -> None:
        while True:
            event_id = uuid4().hex
            body = event_envelope(a_kind(random.randrange(20)), event_id=event_id)
            try:
                answer = await client.post(url, content=body, params={"sentry_key": KEY})
            except httpx.TransportError:
                return
            if answer.status_code == 200:
                acknowledged.append(event_id)

    async def kill() -> None:
        await asyncio.sleep(moment)
        server.send_signal(signal.SIGKILL)

    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as client:
        await asyncio.gather(kill(), *(one(client) for _ in range(30)))


@pytest.mark.slow
def test_killed_at_any_moment_nothing_acknowledged_is_lost_and_counts_are_exact(
    database: None, tmp_path: Path
) -> None:
    our_project()
    acknowledged: list[str] = []
    for _ in range(3):
        command = [sys.executable, "-c", SERVER, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/api/1/envelope/"
            moment = 1 + random.random()
            asyncio.run(send_until_killed(url, acknowledged, server, moment))
    let_go_of_columns()
    columns.open_columns(f"chdb://{tmp_path / 'columns'}", tables=[ERROR_EVENTS])
    try:
        finishing.finish_crashed(now=utc_now())
        found = columns.query("SELECT event_id, issue_id FROM error_events LIMIT 100000")
    finally:
        columns.close_columns()

    assert acknowledged
    assert set(acknowledged) <= {row["event_id"] for row in found}
    assert len({row["event_id"] for row in found}) == len(found)
    by_issue: dict[str, int] = {}
    for row in found:
        by_issue[row["issue_id"]] = by_issue.get(row["issue_id"], 0) + 1
    with reading() as session:
        assert {one.id: one.count for one in session.scalars(select(Issue))} == by_issue


@pytest.fixture
def on_postgres(postgres: PostgresServer) -> Iterator[InstanceRef]:
    open_fresh_postgres(postgres)
    yield our_project()
    close_database()


def a_batch(instance: InstanceRef, *kinds: int) -> list[Seen]:
    return [
        Seen(
            issue_id=f"{kind:036}",
            instance=instance,
            grouping_hash=f"{kind:032}",
            title=f"Error {kind}",
            culprit="",
            level="error",
            release="",
            first_seen=NOON,
            last_seen=NOON,
            count=2,
        )
        for kind in kinds
    ]


@pytest.mark.slow
def test_several_processes_fold_into_the_same_issues_of_postgresql(
    on_postgres: InstanceRef,
) -> None:
    def fold_many(name: str) -> None:
        for number in range(1, 11):
            kinds = random.sample(range(12), 6)
            batch = a_batch(on_postgres, *kinds)
            with transaction() as session:
                assert fold_one(session, batch, name, number)
                assert not fold_one(session, batch, name, number)

    in_threads(fold_many, 4)

    with reading() as session:
        assert session.scalar(select(func.sum(Issue.count))) == 4 * 10 * 6 * 2
        assert session.scalar(select(func.sum(IssueInstance.count))) == 4 * 10 * 6 * 2
        numbers = session.scalars(select(Issue.number)).all()
    assert len(set(numbers)) == len(numbers) == 12


def fold_one(session: Session, batch: list[Seen], name: str, number: int) -> bool:
    place = Place(intake=name, owner=name, number=number)
    return folding.fold(session, batch, place, now=NOON)


def in_threads(work: Callable[[str], None], count: int) -> None:
    async def all_of_them() -> None:
        await asyncio.gather(*(asyncio.to_thread(work, f"{n:036}") for n in range(count)))

    asyncio.run(all_of_them())
