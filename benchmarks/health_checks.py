"""Claim: watching 2,000 apps once a minute costs one core little, and delays none of them.

Three figures of one run, each beside its yardstick: how late turns start and what the watch costs
while 5 % of the targets hang; checks per second at full tilt against a bare client of the same HTTP
library that makes the same requests; and changes of state per second against results that change
nothing.

    python benchmarks/health_checks.py [seconds of the long part, 120]
"""

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import httpx2 as httpx
import sqlalchemy as sa
from mainstay_server.areas.health_checks.columns import HEALTH_RESULTS
from mainstay_server.areas.health_checks.models import HealthCheck, HealthState
from mainstay_server.areas.health_checks.schemas.bodies import NewHealthCheck
from mainstay_server.areas.health_checks.schemas.orders import (
    Finished,
    ProbeOrder,
    ProbeResult,
)
from mainstay_server.areas.health_checks.service import checks, probing, recording, watching
from mainstay_server.areas.health_checks.service.turns import claim_due, next_turn
from mainstay_server.areas.health_checks.settings import HealthCheckSettings
from mainstay_server.kernel import columns, outbound
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import (
    Base,
    close_database,
    engine,
    new_id,
    open_database,
    reading,
    transaction,
)
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.models import Instance, Organization, Project

CHECKS = 2_000
INTERVAL_SECONDS = 60
WATCHED_SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 120.0
HOSTS = 200
HANGING_EVERY = 20
TILT_INTERVAL_SECONDS = 5
TILT_CHECKS = 6_000
TILT_SECONDS = 12.0
BARE_WORKERS = 100
BARE_SECONDS = 6.0
CHANGES_AT_ONCE = 100
CHANGE_ROUNDS = 10
GRACE_SECONDS = 15.0

TARGETS = """
import asyncio, sys
ANSWER = b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok"
async def answer(reader, writer):
    try:
        head = await reader.readuntil(b"\\r\\n\\r\\n")
    except asyncio.IncompleteReadError:
        return writer.close()
    if b"/hang" in head.split(b"\\r\\n", 1)[0]:
        await asyncio.sleep(60)
    writer.write(ANSWER)
    await writer.drain()
    writer.close()
async def main():
    server = await asyncio.start_server(answer, "0.0.0.0", 0, backlog=4096)
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


def make_checks(urls: list[str], *, interval_seconds: int) -> list[str]:
    """Checks that have run for a while: their states are known, their turns spread; their ids."""
    now = utc_now()
    ids = []
    with transaction() as session:
        ours = Organization(id=new_id(), name="Bench", created_at=now)
        session.add(ours)
        session.flush()
        count = session.scalar(sa.select(sa.func.count()).select_from(Project)) or 0
        project = Project(
            id=new_id(),
            number=count + 1,
            organization_id=ours.id,
            slug=f"bench-{count}",
            name="B",
            created_at=now,
        )
        session.add(project)
        session.flush()
        refs = [
            an_instance(session, project, number, now)
            for number in range(0, len(urls), checks.MOST_PER_INSTANCE)
        ]
        for number, url in enumerate(urls):
            ref = refs[number // checks.MOST_PER_INSTANCE]
            wanted = NewHealthCheck(url=url, interval_seconds=interval_seconds)
            check = checks.add_check(session, ref, wanted, now=now)
            state = HealthState.UNHEALTHY if "/hang" in url else HealthState.HEALTHY
            result = ProbeResult(state=state, response_ms=1.0, status_code=200)
            recording.record_results(
                session, [answered(check, result, at=now)], grace_seconds=GRACE_SECONDS
            )
            check.next_at = next_turn(check.id, interval_seconds, now)
            ids.append(check.id)
        # Making thousands takes so long that the first would else count as unwatched by now.
        session.flush()
        until = utc_now() + timedelta(seconds=interval_seconds + BARE_SECONDS)
        heard = {"watched_until": until, "silent_at": until + timedelta(seconds=GRACE_SECONDS)}
        session.execute(sa.update(HealthCheck).where(HealthCheck.id.in_(ids)).values(**heard))
    return ids


def an_instance(
    session: "sa.orm.Session", project: Project, number: int, now: datetime
) -> InstanceRef:
    instance = Instance(
        id=new_id(), project_id=project.id, environment=f"e{number}", created_at=now
    )
    session.add(instance)
    session.flush()
    return InstanceRef(
        id=instance.id,
        environment=instance.environment,
        url="",
        project_id=project.id,
        project_number=project.number,
        project_slug=project.slug,
        project_name="B",
        organization_id=project.organization_id,
    )


def answered(check: HealthCheck, result: ProbeResult, *, at: datetime) -> Finished:
    order = ProbeOrder(
        check_id=check.id,
        instance_id=check.instance_id,
        kind=check.kind,
        url=check.url,
        interval_seconds=check.interval_seconds,
        timeout_seconds=check.timeout_seconds,
        degraded_after_ms=check.degraded_after_ms,
        state=HealthState(check.state),
        at=at,
    )
    return Finished(order=order, at=at, finished_at=at, result=result)


def rest_all() -> None:
    """Let go of the checks of the part that is over."""
    with transaction() as session:
        session.execute(sa.update(HealthCheck).values(paused=True))


async def watch_for(seconds: float) -> tuple[int, float, list[float]]:
    """Turns finished, processor seconds used, and how late each began, in seconds."""
    lags: list[float] = []
    done = [0]
    ask = probing.ask_once_confirmed

    async def timed(order: ProbeOrder, **options: object) -> Finished:
        lags.append((utc_now() - order.at).total_seconds())
        found = await ask(order, **options)  # type: ignore[arg-type]  # passed on as they came
        done[0] += 1
        return found

    watching.ask_once_confirmed = timed  # type: ignore[attr-defined]  # measured, not changed
    stop = asyncio.Event()
    running = asyncio.create_task(watching.Watch(HealthCheckSettings(), clock=utc_now).run(stop))
    await asyncio.sleep(3)  # the first ticks warm up
    lags.clear()
    before, begun = cpu_seconds(), done[0]
    await asyncio.sleep(seconds)
    used, finished, late = cpu_seconds() - before, done[0] - begun, sorted(lags)
    stop.set()
    await running
    watching.ask_once_confirmed = ask  # type: ignore[attr-defined]
    return finished, used, late


async def bare_calls(urls: list[str], *, seconds: float) -> tuple[int, float]:
    """Calls of a bare client, a hundred at once, and the processor seconds of them."""
    until = time.monotonic() + seconds
    made = [0]

    async def work(client: httpx.AsyncClient, first: int) -> None:
        number = first
        while time.monotonic() < until:
            answer = await client.get(urls[number % len(urls)])
            assert answer.is_success
            made[0] += 1
            number += BARE_WORKERS

    limits = httpx.Limits(max_keepalive_connections=0, max_connections=BARE_WORKERS)
    before = cpu_seconds()
    async with httpx.AsyncClient(limits=limits, trust_env=False) as client:
        await asyncio.gather(*(work(client, number) for number in range(BARE_WORKERS)))
    return made[0], cpu_seconds() - before


def idle_share() -> float:
    """Processor seconds per second of the open stores alone."""
    before, began = cpu_seconds(), time.monotonic()
    time.sleep(3)
    return (cpu_seconds() - before) / (time.monotonic() - began)


def per_second(rounds: int, record: Callable[[int], int]) -> float:
    began = time.monotonic()
    return sum(record(number) for number in range(rounds)) / (time.monotonic() - began)


def results_per_second(ids: list[str], states: tuple[HealthState, HealthState]) -> float:
    """Results recorded per second through the database, each a transaction of a hundred."""
    now = [utc_now() + timedelta(seconds=60)]

    def record(number: int) -> int:
        now[0] += timedelta(seconds=1)
        result = ProbeResult(state=states[number % 2], response_ms=1.0, status_code=200)
        with transaction() as session:
            chosen = sa.update(HealthCheck).where(HealthCheck.id.in_(ids[:CHANGES_AT_ONCE]))
            session.execute(chosen.values(next_at=now[0], paused=False))
            orders = claim_due(
                session, until=now[0], now=now[0], owner="bench", limit=CHANGES_AT_ONCE
            )
            found = [
                Finished(order=one, at=now[0], finished_at=now[0], result=result) for one in orders
            ]
            return len(recording.record_results(session, found, grace_seconds=GRACE_SECONDS))

    record(1)
    return per_second(CHANGE_ROUNDS, record)


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
            measure_minute(port)
            rest_all()
            measure_tilt(port)
            rest_all()
            measure_changes(port)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"  memory at most {peak:.0f} MiB, the engine among it (pid {os.getpid()})")
        finally:
            targets.terminate()
            targets.wait()
            columns.close_columns()
            outbound.close_outbound()
            close_database()


def measure_minute(port: int) -> None:
    urls = [url_of(number, port) for number in range(CHECKS)]
    make_checks(urls, interval_seconds=INTERVAL_SECONDS)
    idle = idle_share()
    finished, used, lags = asyncio.run(watch_for(WATCHED_SECONDS))
    own = used - idle * WATCHED_SECONDS
    print(f"{CHECKS} checks every {INTERVAL_SECONDS} s, one in {HANGING_EVERY} hangs, 2 cores:")
    print(f"  {len(lags)} turns in {WATCHED_SECONDS:g} s, {results_stored()} results stored")
    print(f"  processor: {used / WATCHED_SECONDS:.1%} of one core ({idle:.1%} of it idle stores)")
    print(f"  {own / max(finished, 1) * 1000:.2f} ms per check")
    print(f"  start lag: median {lags[len(lags) // 2] * 1000:.0f} ms, ", end="")
    print(f"p99 {lags[int(len(lags) * 0.99)] * 1000:.0f} ms, most {lags[-1] * 1000:.0f} ms")


def measure_tilt(port: int) -> None:
    urls = [url_of(number, port).replace("hang", "health") for number in range(TILT_CHECKS)]
    make_checks(urls, interval_seconds=TILT_INTERVAL_SECONDS)
    first, first_used = asyncio.run(bare_calls(urls, seconds=BARE_SECONDS))
    finished, used, _ = asyncio.run(watch_for(TILT_SECONDS))
    second, second_used = asyncio.run(bare_calls(urls, seconds=BARE_SECONDS))
    bare, bare_used = (first + second) / (2 * BARE_SECONDS), (first_used + second_used)
    rate = finished / TILT_SECONDS
    print("at full tilt:")
    print(f"  {rate:.0f} checks/s, the bare client {bare:.0f} calls/s: ratio {rate / bare:.2f}")
    ratio = (bare_used / (first + second)) / (used / max(finished, 1))
    print(f"  processor: {used / max(finished, 1) * 1000:.2f} ms per check, bare ", end="")
    print(f"{bare_used / (first + second) * 1000:.2f} ms per call: ratio {ratio:.2f}")


def measure_changes(port: int) -> None:
    urls = [url_of(1, port)] * CHANGES_AT_ONCE
    ids = make_checks(urls, interval_seconds=INTERVAL_SECONDS)
    down = (HealthState.UNHEALTHY, HealthState.HEALTHY)
    changes = results_per_second(ids, down)
    calm = results_per_second(ids, (HealthState.HEALTHY, HealthState.HEALTHY))
    print("through the database, a hundred a transaction:")
    print(f"  {changes:.0f} changes of state/s, {calm:.0f} results/s that change nothing: ", end="")
    print(f"ratio {calm / changes:.1f}")


def results_stored() -> int:
    with reading() as session:
        known = session.scalar(sa.select(sa.func.count()).select_from(HealthCheck))
    assert known, "checks were made"
    return int(columns.query_value("SELECT count() FROM health_results"))


if __name__ == "__main__":
    main()
