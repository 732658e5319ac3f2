"""Claim: a page over months of requests reads sums, not requests; what keeps the sums costs little.

Fills a store with requests of thirty days, six in ten of them of one app, and asks what the panel
and the overview ask of that app. The yardstick is the same question put to the requests themselves,
asked in turns with ours. Then it appends batches as SDKs send them, to the table and to one that
has no roll-ups. Rows are an argument: `benchmarks/requests.py 100000000` takes some minutes and
5 GB in the temporary folder.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import chdb
from mainstay_server.areas.requests import columns as requests
from mainstay_server.areas.requests import pages, service
from mainstay_server.areas.requests.schemas import ReceivedRequest, RequestBatch
from mainstay_server.kernel import columns

ROWS = 1_000_000
ROWS_AT_ONCE = 2_000_000
ROUNDS = 5
APP = "app-0"
SPANS = {1: "1 h", 24: "24 h", 168: "7 d", 720: "30 d"}
DAY = timedelta(days=1)

SENDERS = 32
BATCHES = 1_500
REQUESTS_PER_BATCH = 20
PAUSE_SECONDS = 0.01
PACED_SECONDS = 3
BARE = replace(requests.REQUEST_METRICS, name="bare", roll_ups=())

Seconds = tuple[float, float]
"""On the wall, and of the processor."""


def fill(folder: str, rows: int, now: datetime) -> None:
    """Store so many requests, spread evenly over the thirty days before `now`."""
    handle = chdb.connect(f"{folder}?max_threads=2")
    begins = (now - 30 * DAY).timestamp() * 1000
    for first in range(0, rows, ROWS_AT_ONCE):
        count = min(ROWS_AT_ONCE, rows - first)
        handle.query(
            "INSERT INTO request_metrics (instance_id, at, method, path, status, duration_ms,"  # noqa: S608 - numbers
            " client_address, trace_id, release, server_name)"
            " SELECT if(rand(1) % 10 < 6, 'app-0', concat('app-', toString(1 + rand(2) % 6))),"
            f" fromUnixTimestamp64Milli(toInt64({begins} + number * {30 * 86_400_000 / rows})),"
            " ['GET', 'GET', 'POST'][1 + rand(3) % 3],"
            " concat('/route/', toString(toUInt8(50 * pow(rand(4) / 4294967296, 3)))),"
            " if(rand(5) % 100 = 0, 500, 200), exp(3 + randNormal(0, 1)),"
            " concat('10.0.0.', toString(rand(6) % 250)), lower(hex(rand64(7))), 'r1', 'web-1'"
            f" FROM numbers({first}, {count})"
        )
    handle.close()


def measured(act: Callable[[], object]) -> Seconds:
    began, used = time.perf_counter(), time.process_time()
    act()
    return time.perf_counter() - began, time.process_time() - used


def compare(name: str, ours: Callable[[], object], plain: Callable[[], object]) -> None:
    ours()
    plain()
    rounds = [(measured(ours), measured(plain)) for _ in range(ROUNDS)]
    (wall, cpu), (plain_wall, plain_cpu) = (
        [statistics.median(column) * 1000 for column in zip(*times, strict=True)]
        for times in zip(*rounds, strict=True)
    )
    print(
        f"{name:24}{wall:10.1f}{cpu:10.1f}{plain_wall:12.1f}{plain_cpu:10.1f}"
        f"{plain_wall / wall:10.1f}{plain_cpu / cpu:8.1f}"
    )


def ask(hours: int, now: datetime) -> None:
    """Compare what the panel asks for one range, and what the tiles of all apps ask."""
    since = now - timedelta(hours=hours)
    seconds = pages.BUCKETS.get(hours, 60 * hours)
    span = {"instance_id": APP, "since": since, "until": now}
    where = "at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}"
    compare(
        f"{SPANS[hours]} figures, endpoints",
        lambda: service.measure(APP, hours=hours, now=now),
        lambda: columns.query(
            "SELECT path, count() AS total, countIf(status >= 500), avg(duration_ms),"  # noqa: S608 - constants
            " quantilesDD(0.005, 0.5, 0.95, 0.99)(duration_ms), groupUniqArray(8)(method)"
            f" FROM request_metrics WHERE instance_id = {{instance_id:String}} AND {where}"
            " GROUP BY path WITH ROLLUP ORDER BY grouping(path) DESC, total DESC LIMIT 21",
            **span,
        ),
    )
    compare(
        f"{SPANS[hours]} series",
        lambda: service.time_series(APP, since=since, until=now, seconds=seconds),
        lambda: columns.query(
            f"SELECT intDiv(toUnixTimestamp(at), {seconds}) AS begins, count(),"  # noqa: S608 - constants
            " countIf(status >= 500), avg(duration_ms) FROM request_metrics"
            f" WHERE instance_id = {{instance_id:String}} AND {where} GROUP BY begins",
            **span,
        ),
    )
    compare(
        f"{SPANS[hours]} tiles of all apps",
        lambda: requests.counts_by_instance(None, since=since, until=now),
        lambda: columns.query(
            "SELECT instance_id, count(), countIf(status >= 500), avg(duration_ms)"  # noqa: S608 - constants
            f" FROM request_metrics WHERE {where} GROUP BY instance_id",
            **span,
        ),
    )


def append_to(table: columns.Table, bodies: list[bytes], *, pause_seconds: float) -> None:
    """Append each body; with a pause as often as apps send, without one as fast as is answered."""
    with ThreadPoolExecutor(SENDERS) as threads:
        appends = []
        for body in bodies:
            appends.append(
                threads.submit(columns.append_blocking, table, body, rows=REQUESTS_PER_BATCH)
            )
            time.sleep(pause_seconds)
        for append in appends:
            append.result()


def append(now: datetime) -> None:
    """Compare what it costs to store batches of requests, with roll-ups and without."""
    bodies = [
        service.rows_of(
            RequestBatch(
                requests=[
                    ReceivedRequest(
                        at=now - timedelta(milliseconds=number * 7 + each),
                        method="GET",
                        path=f"/route/{(number + each) % 50}",
                        status=200,
                        duration_ms=float(1 + (number * each) % 900),
                        client_address=f"10.0.0.{number % 250}",
                        trace_id=os.urandom(16).hex(),
                    )
                    for each in range(REQUESTS_PER_BATCH)
                ]
            ),
            instance_id=f"app-{number % 7}",
            received_at=now,
        )
        for number in range(BATCHES)
    ]
    tables = (requests.REQUEST_METRICS, BARE)
    for pause_seconds in (0.0, PAUSE_SECONDS):
        times: dict[str, list[Seconds]] = {table.name: [] for table in tables}
        few = bodies[: BATCHES if not pause_seconds else round(PACED_SECONDS / pause_seconds)]
        for _ in range(ROUNDS):
            for table in tables:
                act = partial(append_to, table, few, pause_seconds=pause_seconds)
                times[table.name].append(measured(act))
        thousands = len(few) * REQUESTS_PER_BATCH / 1000
        ours, bare = (
            statistics.median(cpu for _, cpu in each) * 1000 / thousands for each in times.values()
        )
        how = f"a batch each {pause_seconds * 1000:.0f} ms" if pause_seconds else "full speed"
        print(f"{how:24}{ours:12.1f}{bare:12.1f}{ours / bare:10.2f}")


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder).resolve() / "columns")
        columns.open_columns(f"chdb://{path}", tables=[requests.REQUEST_METRICS, BARE])
        began = time.perf_counter()
        fill(path, rows, now)
        print(f"{rows:,} requests stored in {time.perf_counter() - began:.0f} s")
        wall, cpu = measured(lambda: columns.sum_up(requests.REQUEST_METRICS, until=now))
        print(f"summed up for the first time in {wall:.1f} s, {cpu:.1f} s of processor")
        for name, size in sizes().items():
            print(f"{name:20}{size:10.1f} MB")
        print()
        print(f"{'':24}{'wall ms':>10}{'cpu ms':>10}{'plain wall':>12}{'cpu':>10}{'ratio':>10}")
        for hours in SPANS:
            ask(hours, now)
        print(f"\n{'processor ms, 1,000 rows':24}{'with sums':>12}{'without':>12}{'ratio':>10}")
        append(now)
        columns.close_columns()


def sizes() -> dict[str, float]:
    found = columns.query(
        "SELECT table, sum(bytes_on_disk) / 1e6 AS megabytes FROM system.parts"
        " WHERE active AND database = currentDatabase() GROUP BY table ORDER BY table"
    )
    return {row["table"]: row["megabytes"] for row in found}


if __name__ == "__main__":
    main()
