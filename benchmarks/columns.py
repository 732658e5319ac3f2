"""Claim: group commit costs little. Rows per second through it, against the bare engine.

The yardstick is chDB alone: the same rows, in files of one megabyte on a memory disk, inserted one
after the other into the same kind of table. The contender is sixty-four threads that append bodies
of a hundred rows and wait until each is stored. Rounds alternate, so a busy machine slows both.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import chdb
from mainstay_server.kernel import columns

ROUNDS = 4
ROWS_PER_BODY = 100
BODIES = 1_000
PIECE_BYTES = 1_000_000
APPENDERS = 64

REQUESTS = columns.Table(
    name="grouped",
    columns={
        "time": "DateTime64(3, 'UTC')",
        "instance": "LowCardinality(String)",
        "route": "LowCardinality(String)",
        "status": "UInt16",
        "milliseconds": "Float32",
        "trace": "String",
    },
    order_by=("instance", "route", "time"),
    time_column="time",
    retention_days=30,
)
BARE = replace(REQUESTS, name="bare")


def body(first: int) -> bytes:
    """Return a hundred rows as a door hands them over."""
    return b"".join(
        b'{"time":%.3f,"instance":"shop-%d","route":"/orders/{id}/%d","status":200,'
        b'"milliseconds":%d.25,"trace":"%032x"}\n'
        % (time.time(), n % 3, n % 17, n % 900, n * 2654435761)
        for n in range(first, first + ROWS_PER_BODY)
    )


def seconds_of(act: Callable[[], None]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def pieces_of(bodies: list[bytes]) -> list[bytes]:
    """Join the bodies into pieces of about a megabyte."""
    whole = b"".join(bodies)
    each = -(-len(whole) // -(-len(whole) // PIECE_BYTES))
    pieces, start = [], 0
    while start < len(whole):
        end = whole.find(b"\n", min(start + each, len(whole)) - 1) + 1
        pieces.append(whole[start:end])
        start = end
    return pieces


def main() -> None:
    bodies = [body(number * ROWS_PER_BODY) for number in range(BODIES)]
    rows = ROWS_PER_BODY * BODIES
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory(dir="/dev/shm") as ram,
    ):
        columns.open_columns(f"chdb://{folder}/columns", tables=[REQUESTS, BARE])
        handle = chdb.connect(f"{Path(folder).resolve()}/columns")
        files = []
        for number, piece in enumerate(pieces_of(bodies)):
            files.append(Path(ram) / str(number))
            files[-1].write_bytes(piece)

        def bare() -> None:
            for file in files:
                handle.query(
                    f"INSERT INTO bare FROM INFILE '{file}'"
                    " SETTINGS async_insert = 0 FORMAT JSONEachRow"
                )

        def grouped() -> None:
            with ThreadPoolExecutor(APPENDERS) as threads:
                for _ in threads.map(
                    lambda each: columns.append_blocking(REQUESTS, each, rows=ROWS_PER_BODY), bodies
                ):
                    pass

        bare()
        grouped()
        times = [(seconds_of(grouped), seconds_of(bare)) for _ in range(ROUNDS)]
        counts = columns.stats().tables["grouped"]
        stored = columns.query_value("SELECT count() FROM grouped")
        assert stored == columns.query_value("SELECT count() FROM bare") == rows * (ROUNDS + 1)
        handle.close()
        columns.close_columns()
    ours, yardstick = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"bare engine, {len(files)} pieces: {rows / yardstick:12,.0f} rows/s")
    print(f"group commit, {BODIES} appends:  {rows / ours:12,.0f} rows/s")
    print(f"rows per insert:           {counts.rows / counts.batches:12,.0f}")
    print(f"ratio:                     {yardstick / ours:12.2f}")


if __name__ == "__main__":
    main()
