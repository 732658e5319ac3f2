"""Work of the guard beside requests: following changes, storing verdicts, remembering uses."""

import asyncio
from datetime import datetime

import structlog
from starlette.concurrency import run_in_threadpool

from mainstay_server.kernel import columns
from mainstay_server.kernel.area import Loop, StopSignal
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.problems import Problem, Unavailable

from .columns import GUARD_PASSAGES
from .service import holders, keys, reporting, waiting
from .service.verdicts import tally

log = structlog.get_logger(__name__)

STORE_EVERY_SECONDS = 1.0


async def keep_verdicts(stop: StopSignal) -> None:
    """Store once a second what this process decided; what it decided last, before it ends."""
    stopped = asyncio.ensure_future(stop.wait())
    try:
        while not stop.is_set():
            await asyncio.wait({stopped}, timeout=STORE_EVERY_SECONDS)
            await _keep(now=utc_now())
    finally:
        stopped.cancel()
    await _keep(now=utc_now())


async def _keep(*, now: datetime) -> None:
    await store_verdicts(now=now)
    await run_in_threadpool(remember_uses, now=now)


async def store_verdicts(*, now: datetime) -> None:
    """Store and count what was decided since the last time.

    A batch that cannot be stored now is given up, and said so: verdicts go on, and memory does not
    grow. Quotas are counted first, since they are what somebody pays for.
    """
    for instance, batch_id, rows in tally.take():
        try:
            await run_in_threadpool(
                reporting.count_use, instance, batch_id=batch_id, rows=rows, now=now
            )
            await columns.append(GUARD_PASSAGES, reporting.encode_rows(rows), rows=len(rows))
        except Problem as problem:  # noqa: PERF203 - one try an instance and second
            log.warning("verdicts were not stored", verdicts=len(rows), reason=problem.detail)


def remember_uses(*, now: datetime) -> None:
    """Write down which guard keys this process saw used; a second that is lost is no harm."""
    used = holders.take_used()
    if not used:
        return
    try:
        with transaction() as session:
            keys.note_use(session, used, now=now)
    except Unavailable as problem:
        log.warning("uses of guard keys were not noted", reason=problem.detail)


loops = (
    Loop(name="guard-policies", role="web", run=waiting.follow_policies),
    Loop(name="guard-verdicts", role="web", run=keep_verdicts),
)
