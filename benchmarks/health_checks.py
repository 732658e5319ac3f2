"""Claim: watching 1,000 apps once a minute costs little more than the requests themselves.

Three figures of one run: the processor time of the watch per check, that of the bare `fetch` calls
alone (the yardstick), and how late turns start while 5 % of the targets hang.

    python benchmarks/health_checks.py
"""

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mainstay_server.areas.health_checks.columns import HEALTH_RESULTS
from mainstay_server.areas.health_checks.schemas.bodies import NewHealthCheck
from mainstay_server.areas.health_checks.schemas.orders import ProbeOrder
from mainstay_server.areas.health_checks.service import checks, probing, watching
from mainstay_server.areas.health_checks.service.turns import next_turn
from mainstay_server.areas.health_checks.settings import HealthCheckSettings
from mainstay_server.kernel import columns, outbound
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import (
    Base,
    close_database,
    engine,
    new_id,
    open_database,
    transaction,
)
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.models import Instance, Organization, Project

CHECKS = 1_000
INTERVAL_SECONDS = 60
WATCHED_SECONDS = 12.0
HOSTS = 200
HANGING_EVERY = 20
PLAIN_CALLS = 200

TARGETS = """
import asyncio, sys
ANSWER = b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok"
async def answer(reader, writer):
    head = await reader.readuntil(b"\\r\\n\\r\\n")
    if b"/hang" in head.split(b"\\r\\n", 1)[0]:
        await asyncio.sleep(60)
    writer.write(ANSWER)
    await writer.drain()
    writer.close()
async def main():
    server = await asyncio.start_server(answer, "0.0.0.0", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def url_of(number: int, port: int) -> str:
    path = "hang" if number % HANGING_EVERY == 0 else "health"
    return f"http://127.0.1.{number % HOSTS + 1}:{port}/{path}"


def make_checks(port: int) -> None:
    """A thousand checks whose turns are spread over the minute, as after a minute of running."""
    now = utc_now()
    with transaction() as session:
        ours = Organization(id=new_id(), name="Bench", created_at=now)
        session.add(ours)
        session.flush()
        project = Project(
            id=new_id(), number=1, organization_id=ours.id, slug="b", name="B", created_at=now
        )
        session.add(project)
        session.flush()
        for number in range(CHECKS):
            instance = Instance(
                id=new_id(), project_id=project.id, environment=f"e{number}", created_at=now
            )
            session.add(instance)
            session.flush()
            ref = InstanceRef(
                id=instance.id,
                environment=instance.environment,
                url="",
                project_id=project.id,
                project_number=1,
                project_slug="b",
                project_name="B",
                organization_id=ours.id,
            )
            wanted = NewHealthCheck(url=url_of(number, port), interval_seconds=INTERVAL_SECONDS)
            check = checks.add_check(session, ref, wanted, now=now)
            check.next_at = next_turn(check.id, INTERVAL_SECONDS, now)


async def watch_for(seconds: float) -> tuple[int, float, list[float]]:
    """Turns begun, processor seconds used, and how late each began, in seconds."""
    lags: list[float] = []
    ask = probing.ask_once_confirmed

    async def timed(order: ProbeOrder, **options: object) -> object:
        lags.append((utc_now() - order.at).total_seconds())
        return await ask(order, **options)  # type: ignore[arg-type]  # passed on as they came

    watching.ask_once_confirmed = timed  # type: ignore[assignment,attr-defined]  # measured, not changed
    stop = asyncio.Event()
    running = asyncio.create_task(watching.Watch(HealthCheckSettings(), clock=utc_now).run(stop))
    await asyncio.sleep(2)  # the first ticks warm up
    lags.clear()
    before = cpu_seconds()
    await asyncio.sleep(seconds)
    used, begun = cpu_seconds() - before, list(lags)
    stop.set()
    await running
    return len(begun), used, begun


async def plain_calls(port: int) -> float:
    """Processor seconds per call of the bare way out."""
    before = cpu_seconds()
    for number in range(1, PLAIN_CALLS):
        url = url_of(number, port).replace("hang", "health")
        await outbound.fetch("GET", url)
    return (cpu_seconds() - before) / PLAIN_CALLS


def idle_share() -> float:
    """Processor seconds per second of the open stores alone."""
    before, began = cpu_seconds(), time.monotonic()
    time.sleep(2)
    return (cpu_seconds() - before) / (time.monotonic() - began)


def results_stored() -> int:
    return int(columns.query_value("SELECT count() FROM health_results"))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        targets = subprocess.Popen(
            [sys.executable, "-c", TARGETS], stdout=subprocess.PIPE, text=True
        )
        assert targets.stdout is not None
        port = int(targets.stdout.readline())
        open_database(f"sqlite:///{Path(folder) / 'mainstay.db'}")
        Base.metadata.create_all(engine())
        columns.open_columns(f"chdb://{folder}/columns", tables=[HEALTH_RESULTS])
        outbound.open_outbound(allow_private=True)
        try:
            make_checks(port)
            idle = idle_share()
            per_call = asyncio.run(plain_calls(port))
            begun, used, lags = asyncio.run(watch_for(WATCHED_SECONDS))
            report(idle, per_call, begun, used, sorted(lags))
        finally:
            targets.terminate()
            targets.wait()
            columns.close_columns()
            outbound.close_outbound()
            close_database()


def report(idle: float, per_call: float, begun: int, used: float, lags: list[float]) -> None:
    own = used - idle * WATCHED_SECONDS
    print(f"{CHECKS} checks every {INTERVAL_SECONDS} s, one in {HANGING_EVERY} hangs, 2 cores:")
    print(f"  {begun} turns begun in {WATCHED_SECONDS:g} s, {results_stored()} results stored")
    print(f"  processor: {used / WATCHED_SECONDS:.1%} of one core ({idle:.1%} of it idle stores)")
    print(
        f"  per turn {own / begun * 1000:.1f} ms; the bare call {per_call * 1000:.1f} ms: ", end=""
    )
    print(f"ratio {own / begun / per_call:.1f}")
    print(f"  start lag: median {lags[len(lags) // 2] * 1000:.0f} ms, ", end="")
    print(f"p99 {lags[int(len(lags) * 0.99)] * 1000:.0f} ms, most {lags[-1] * 1000:.0f} ms")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  memory at most {peak:.0f} MiB with the engine in the process (pid {os.getpid()})")


if __name__ == "__main__":
    main()
