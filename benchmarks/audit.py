"""Claim: a row of the audit log costs a few times a bare insert, and 100,000 make one chain.

In turns: the log appends events, and bare inserts write rows of the same columns and length, in
transactions of a hundred rows and of one, on SQLite and on PostgreSQL. Then several processes
append 100,000 rows to one log at once, the server and the command line verify it, and the chain has
no gap.

    python benchmarks/audit.py [--rows 100000] [--processes 4] [--store SQLite]
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from mainstay_cli.audit_verifier.bundles import read_bundle
from mainstay_cli.audit_verifier.verifying import verify
from mainstay_server.areas.audit.models import AuditLog, AuditRow
from mainstay_server.areas.audit.schemas import RowFilter
from mainstay_server.areas.audit.service import appending, checkpoints, exporting, verifying
from mainstay_server.contracts.tenancy import ProjectChanged
from mainstay_server.kernel import blobs
from mainstay_server.kernel.database import (
    Base,
    close_database,
    engine,
    new_id,
    open_database,
    reading,
    transaction,
)
from mainstay_server.kernel.events import Heard, Origin

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "server"))

from tests.servers.postgres import running_postgres  # noqa: E402 - found by the line above

ROUNDS = 5
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ORGANIZATION = "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
ALICE = Origin(
    actor="person:0193a0c2-7e57-7000-8000-000000000001",
    name="Alice",
    email="alice@ships.example",
    address="203.0.113.7",
    client="curl/8",
)
BATCH = 100


def events(count: int, organization: str = ORGANIZATION) -> list[Heard]:
    """What was administered: a project was renamed, so many times."""
    return [
        Heard(
            position=number,
            event=ProjectChanged(
                organization_id=organization,
                project_id="0193a0c2-7e57-7000-8000-000000000003",
                slug="inspections",
                changes={"name": (f"Name {number}", f"Name {number + 1}")},
            ),
            origin=ALICE,
            said_at=NOON,
        )
        for number in range(count)
    ]


def append(count: int, batch: int, organization: str = ORGANIZATION) -> None:
    """Write events to the log, so many in a transaction."""
    heard = events(batch, organization)
    for _ in range(count // batch):
        with transaction() as session:
            appending.append(session, heard, now=NOON)


def bare(count: int, batch: int) -> None:
    """Insert rows of the same columns and length, chained to nothing."""
    with reading() as session:
        row = session.execute(sa.select(AuditRow.__table__).limit(1)).mappings().one()
    for _ in range(count // batch):
        organization = new_id()
        rows = [{**row, "organization_id": organization, "position": n} for n in range(batch)]
        with transaction() as session:
            session.execute(sa.insert(AuditRow), rows)


def rate(call: Callable[[], None], count: int) -> float:
    begun = time.perf_counter()
    call()
    return count / (time.perf_counter() - begun)


def compare(kind: str) -> None:
    append(BATCH, BATCH)
    for batch, count in ((BATCH, 5_000), (1, 500)):
        found: dict[str, list[float]] = {"append": [], "bare": []}
        for _ in range(ROUNDS):
            found["bare"].append(rate(partial(bare, count, batch), count))
            found["append"].append(rate(partial(append, count, batch), count))
        log, least = (statistics.median(found[name]) for name in ("append", "bare"))
        print(
            f"{kind}, {batch} in a transaction: {log:,.0f} rows/s appended, {least:,.0f} rows/s"
            f" inserted bare, ratio {least / log:.2f}"
        )


def one_process(url: str, data_dir: str, count: int) -> None:
    """What each of several processes does."""
    os.environ["MAINSTAY_DATA_DIR"] = data_dir
    open_database(url)
    append(count, BATCH, "shared")
    close_database()


def concurrently(kind: str, url: str, *, rows: int, processes: int) -> None:
    """Append from several processes at once, then verify all of it."""
    context = multiprocessing.get_context("spawn")
    share = rows // processes // BATCH * BATCH
    told = (url, os.environ["MAINSTAY_DATA_DIR"], share)
    started = [context.Process(target=one_process, args=told) for _ in range(processes)]
    begun = time.perf_counter()
    for process in started:
        process.start()
    for process in started:
        process.join()
    took = time.perf_counter() - begun
    assert [process.exitcode for process in started] == [0] * processes
    with transaction() as session:
        checkpoints.sign_all(session, now=NOON)
    begun = time.perf_counter()
    with reading() as session:
        report = verifying.verify_log(session, "shared")
        size = session.get_one(AuditLog, "shared").size
    verified = time.perf_counter() - begun
    assert (report.faults, report.covered, size) == ([], share * processes, share * processes)
    with reading() as session, exporting.bundle(session, "shared", EVERYTHING, name="x") as file:
        exported = file.read()
    begun = time.perf_counter()
    outside = verify(read_bundle(exported))
    alone = time.perf_counter() - begun
    assert (outside.faults, outside.covered) == ([], size)
    print(
        f"{kind}: {size:,} rows by {processes} processes in {took:.1f} s ({size / took:,.0f} rows/s"
        f" with their start), one unbroken chain; verified by the server {size / verified:,.0f}"
        f" rows/s, by the command line {size / alone:,.0f} rows/s"
    )


EVERYTHING = RowFilter()


@contextmanager
def opened(url: str) -> Iterator[str]:
    open_database(url)
    Base.metadata.create_all(engine())
    try:
        yield url
    finally:
        close_database()


def main() -> None:
    """Measure both stores, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--store", choices=["SQLite", "PostgreSQL"])
    asked: Any = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_postgres() as postgres:
        os.environ["MAINSTAY_DATA_DIR"] = folder
        blobs.open_blobs("memory://")
        for kind, url in (
            ("SQLite", f"sqlite:///{folder}/audit.db"),
            ("PostgreSQL", postgres.url_of(postgres.new_database())),
        ):
            if asked.store not in (None, kind):
                continue
            with opened(url):
                compare(kind)
                concurrently(kind, url, rows=asked.rows, processes=asked.processes)
        blobs.close_blobs()


if __name__ == "__main__":
    main()
