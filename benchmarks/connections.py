"""Claim: 10,000 idle connections cost a server some memory, and requests beside them little.

A real server on 127.0.0.1 answers requests on a connection that is kept and on new ones, alone and
then beside 10,000 connections that were each used once and stay open, as browsers and agents leave
them. They come from several addresses of the loopback, since one address gets a quarter of the
places. Printed are p50 and p99, what failed, the ratio to the figures without them, and the memory
that they take.

    python benchmarks/connections.py [--connections 10000]
"""

import argparse
import resource
import socket
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2 as httpx
from typing_extensions import override

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "server"))

from tests.journeys.running import Mainstay, running_mainstay  # noqa: E402 - by the line above
from tests.journeys.test_slow_senders import memory_mib, open_connections  # noqa: E402 - same

REQUESTS = 2_000
PATH = "/api/health/live"
PATIENCE_SECONDS = 60
SPARE_FILES = 500
ADDRESSES = 8


@dataclass(frozen=True)
class Figures:
    """How long requests took, in milliseconds, and how many failed."""

    p50: float
    p99: float
    errors: int

    @override
    def __str__(self) -> str:
        return f"p50 {self.p50:.2f} ms, p99 {self.p99:.2f} ms, {self.errors} errors"


def measure(mainstay: Mainstay, *, kept: bool) -> Figures:
    """Ask one after the other, on one connection or on a new one each."""
    took, errors = [], 0
    with httpx.Client(timeout=PATIENCE_SECONDS) as client:
        for _ in range(REQUESTS):
            begun = time.perf_counter()
            try:
                if kept:
                    answer = client.get(mainstay.url + PATH)
                else:
                    with raw_connection(mainstay, "127.0.0.1") as connection:
                        ask(connection)
                    answer = None
                errors += answer is not None and not answer.is_success
            except (httpx.HTTPError, OSError):
                errors += 1
            took.append((time.perf_counter() - begun) * 1000)
    return Figures(statistics.median(took), statistics.quantiles(took, n=100)[98], errors)


@contextmanager
def raw_connection(mainstay: Mainstay, source: str) -> Iterator[socket.socket]:
    parts = urlsplit(mainstay.url)
    where = (parts.hostname or "", parts.port or 0)
    with socket.create_connection(where, PATIENCE_SECONDS, (source, 0)) as connection:
        yield connection


def ask(connection: socket.socket) -> None:
    """One request; OSError when the answer is not 200."""
    connection.sendall(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    if not connection.recv(65_536).startswith(b"HTTP/1.1 200"):
        raise OSError("it was refused")


def hold(mainstay: Mainstay, count: int) -> tuple[list[socket.socket], int]:
    """Open so many connections, each used once; those, and how many could not be."""
    parts = urlsplit(mainstay.url)
    where = (parts.hostname or "", parts.port or 0)
    held, failed = [], 0
    for number in range(count):
        source = f"127.0.0.{2 + number % ADDRESSES}"
        try:
            connection = socket.create_connection(where, PATIENCE_SECONDS, (source, 0))
            ask(connection)
            held.append(connection)
        except OSError:
            failed += 1
    return held, failed


def raise_limit(wanted: int) -> None:
    """As many open files as are needed, here and in the server, which inherits it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return
    with suppress(ValueError, OSError):  # only root may go beyond the hard one
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(f"only {hard:,} files may be open here, so not all of them will be held")


def main() -> None:
    """Measure without, beside, and after them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000)
    count = parser.parse_args().connections
    raise_limit(count + SPARE_FILES)
    with running_mainstay({"MAINSTAY_LIMIT_ADDRESS_PER_MINUTE": "0"}) as mainstay:
        measure(mainstay, kept=True)
        alone = {kept: measure(mainstay, kept=kept) for kept in (True, False)}
        before = memory_mib(mainstay)
        begun = time.perf_counter()
        held, failed = hold(mainstay, count)
        took = time.perf_counter() - begun
        grown = memory_mib(mainstay) - before
        beside = {kept: measure(mainstay, kept=kept) for kept in (True, False)}
        still = open_connections(mainstay)
        for connection in held:
            connection.close()
    print(
        f"{len(held):,} connections held, {failed} refused ({len(held) / took:,.0f}/s, each with a"
        f" request); {still:,} are open after the measurement; {grown:.0f} MiB,"
        f" {grown * 1024 / max(1, len(held)):.1f} KiB each"
    )
    for kept, name in ((True, "on one connection"), (False, "on new connections")):
        ratio = (beside[kept].p50 / alone[kept].p50, beside[kept].p99 / alone[kept].p99)
        print(f"{name}: alone {alone[kept]}")
        print(f"  beside them {beside[kept]}: ratio p50 {ratio[0]:.2f}, p99 {ratio[1]:.2f}")


if __name__ == "__main__":
    main()
