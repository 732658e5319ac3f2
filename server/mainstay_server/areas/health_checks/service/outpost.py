"""The outpost: what `mainstay probe` does on another machine, without a database.

It fetches from the server what to ask, asks it in its turns with the same providers, and reports
what it found. All connections go out. While the server is away it goes on asking; what it found
waits on its disk and is reported once the server is back, oldest first.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from mainstay_server.areas.health_checks.schemas.orders import Finished, ProbeOrder
from mainstay_server.kernel import outbound
from mainstay_server.kernel.area import StopSignal
from mainstay_server.kernel.outbound import OutboundError, Response
from mainstay_server.kernel.watching import KNOWN, State

from .buffer import Batch, Buffer
from .probing import Clock, ask_once_confirmed
from .rooms import Rooms
from .turns import next_turn

log = logging.getLogger(__name__)

WAIT_SECONDS = 25
PATIENCE_SECONDS = 40.0
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
REPORT_EVERY_SECONDS = 1.0
MOST_REPORTED = 500
MOST_ANSWER_BYTES = 64 << 20
OK, UNAUTHORIZED = 200, 401
TOO_LARGE = (400, 413, 422)


class Refused(Exception):
    """The server does not know this probe (any more); there is nothing left to do for it."""


class _Check(msgspec.Struct, rename="camel", frozen=True):
    """One check as the server tells of it."""

    id: str
    digest: str
    kind: str
    url: str
    target: str
    host: str
    config: dict[str, Any]
    conditions: list[str]
    interval_seconds: int
    timeout_seconds: int
    degraded_after_ms: int
    state: str


class _AskNow(msgspec.Struct, rename="camel", frozen=True):
    id: str
    at: datetime


class _Plan(msgspec.Struct, rename="camel", frozen=True):
    """What the server wants."""

    version: str
    checks: list[_Check] | None
    ask_now: list[_AskNow]
    withheld: int
    confirm_seconds: float
    at_once: int
    per_host: int


@dataclass(frozen=True, kw_only=True)
class OutpostOptions:
    """Where the server is, and how this program proves who it is; the token is never logged."""

    server: str
    token: str
    version: str


class Outpost:
    """One probe: asks what the plan says, each check in a task of its own, and reports."""

    def __init__(self, options: OutpostOptions, buffer: Buffer, *, clock: Clock) -> None:
        self._options = options
        self._buffer = buffer
        self._clock = clock
        self._version = ""
        self._confirm_seconds = 1.0
        self._rooms = Rooms(per_host=10)
        self._room = asyncio.Semaphore(2_000)
        self._checks: dict[str, _Check] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._states: dict[str, State] = {}
        self._hurry: dict[str, asyncio.Event] = {}
        self._found = asyncio.Event()
        self._kept = asyncio.Event()

    async def run(self, stop: StopSignal) -> None:
        """Work until `stop` is set. Raises `Refused` when the server says that it must end."""
        work = [
            asyncio.create_task(self._follow_plan()),
            asyncio.create_task(self._report_all()),
            asyncio.create_task(self._keep_all()),
        ]
        stopped = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait([*work, stopped], return_when=asyncio.FIRST_COMPLETED)
            for task in work:
                if task.done():
                    task.result()
        finally:
            for running in (stopped, *work, *self._asking.values()):
                running.cancel()
            await asyncio.gather(*work, *self._asking.values(), return_exceptions=True)

    async def _follow_plan(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                plan = await self._fetch_plan()
            except OutboundError as error:
                log.warning("the server cannot be reached: %s", error.reason)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                continue
            pause = FIRST_PAUSE_SECONDS
            self._take(plan)

    async def _fetch_plan(self) -> _Plan:
        query = f"after={self._version}&wait={WAIT_SECONDS}&version={self._options.version}"
        response = await self._call("GET", f"/api/probe/plan?{query}")
        try:
            return msgspec.json.decode(response.body, type=_Plan)
        except msgspec.MsgspecError as error:
            raise OutboundError("protocol", f"the answer makes no sense: {error}") from None

    def _take(self, plan: _Plan) -> None:
        """Begin what is new, end what is gone, and ask at once what is wished for."""
        self._confirm_seconds = plan.confirm_seconds
        if plan.checks is not None:
            self._rooms = Rooms(per_host=plan.per_host)
            self._room = asyncio.Semaphore(plan.at_once)
            self._replace_checks({check.id: check for check in plan.checks})
            log.info("asking %d checks", len(plan.checks))
            if plan.withheld:
                log.warning(
                    "%d checks with secrets are withheld: reach the server over https",
                    plan.withheld,
                )
        for wish in plan.ask_now:
            if wish.id in self._hurry:
                self._hurry[wish.id].set()
        self._version = plan.version

    def _replace_checks(self, wanted: Mapping[str, _Check]) -> None:
        for check_id in self._checks.keys() - wanted.keys():
            self._end(check_id)
        for check_id, check in wanted.items():
            before = self._checks.get(check_id)
            if before is None or before.digest != check.digest:
                self._end(check_id)
                self._checks[check_id] = check
                known = State(check.state) in KNOWN
                self._states[check_id] = State(check.state) if known else State.UNKNOWN
                self._hurry[check_id] = asyncio.Event()
                self._asking[check_id] = asyncio.create_task(self._ask_in_turns(check))

    def _end(self, check_id: str) -> None:
        task = self._asking.pop(check_id, None)
        if task is not None:
            task.cancel()
        for known in (self._checks, self._states, self._hurry):
            known.pop(check_id, None)

    async def _ask_in_turns(self, check: _Check) -> None:
        """Ask at absolute times, and in between when somebody wants to know at once."""
        hurry = self._hurry[check.id]
        offset = f"{check.id}@{self._options.token[-6:]}"
        at = self._clock()
        while True:
            hurried = await _sleep_until(at, hurry, clock=self._clock)
            hurry.clear()
            async with self._room:
                found = await ask_once_confirmed(
                    self._order(check, at),
                    clock=self._clock,
                    confirm_seconds=self._confirm_seconds,
                    rooms=self._rooms,
                )
            if found.result is not None:
                self._states[check.id] = found.result.state
                self._buffer.add(_reported(found, check.digest))
                self._found.set()
            # Who was in a hurry takes no turn away.
            asked = self._clock() if hurried else max(at, self._clock())
            at = next_turn(offset, check.interval_seconds, asked)

    def _order(self, check: _Check, at: datetime) -> ProbeOrder:
        return ProbeOrder(
            check_id=check.id,
            instance_id="",
            kind=check.kind,
            url=check.url,
            target=check.target,
            host=check.host,
            config=check.config,
            conditions=tuple(check.conditions),
            interval_seconds=check.interval_seconds,
            timeout_seconds=check.timeout_seconds,
            degraded_after_ms=check.degraded_after_ms,
            state=self._states[check.id],
            at=at,
        )

    async def _keep_all(self) -> None:
        """Put results on the disk once a second, also while the server is away."""
        while True:
            await self._found.wait()
            self._found.clear()
            await asyncio.to_thread(self._buffer.flush)
            self._kept.set()
            await asyncio.sleep(REPORT_EVERY_SECONDS)

    async def _report_all(self) -> None:
        """Report what was found, and what has waited, the oldest first, a batch at a time."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            batch = await asyncio.to_thread(self._buffer.next_batch, most=MOST_REPORTED)
            if batch is None:
                await self._kept.wait()
                self._kept.clear()
                continue
            try:
                await self._call("POST", "/api/probe/results", body=self._report_of(batch))
            except OutboundError as error:
                log.warning("results wait on the disk: %s", error.reason)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                continue
            pause = FIRST_PAUSE_SECONDS
            await asyncio.to_thread(self._buffer.done, batch)

    def _report_of(self, batch: Batch) -> bytes:
        return msgspec.json.encode(
            {
                "results": [msgspec.Raw(line) for line in batch.lines],
                "again": batch.again,
                "dropped": batch.dropped,
                "version": self._options.version,
            }
        )

    async def _call(self, method: str, path: str, body: bytes | None = None) -> Response:
        """Call the server. Raises `Refused`, and `OutboundError` for what may pass by waiting."""
        headers = {"authorization": f"Bearer {self._options.token}"}
        if body is not None:
            headers["content-type"] = "application/json"
        response = await outbound.fetch(
            method,
            self._options.server + path,
            headers=headers,
            body=body,
            timeout_seconds=PATIENCE_SECONDS,
            max_body_bytes=MOST_ANSWER_BYTES,
            truncate=False,
            limited=False,
        )
        if response.status == UNAUTHORIZED:
            raise Refused("The server does not know this probe any more; add it again there.")
        if response.status in TOO_LARGE and body is not None:
            # It will never be taken: to send it for ever would keep back everything behind it.
            log.error(
                "the server refuses a report: %s", response.body[:300].decode(errors="replace")
            )
            return response
        if response.status != OK:
            raise OutboundError("protocol", f"the server answered {response.status}")
        return response


async def _sleep_until(at: datetime, hurry: asyncio.Event, *, clock: Clock) -> bool:
    """Sleep until a moment of the wall clock; whether somebody was in a hurry before it came."""
    seconds = max((at - clock()).total_seconds(), 0.0)
    try:
        async with asyncio.timeout(seconds):
            return await hurry.wait()
    except TimeoutError:
        return False


def _reported(found: Finished, digest: str) -> bytes:
    """A result as the server takes it, in one line."""
    result = found.result
    assert result is not None, "only results are reported"
    return msgspec.json.encode(
        {
            "id": found.order.check_id,
            "digest": digest,
            "at": found.at,
            "finishedAt": found.finished_at,
            "state": str(result.state),
            "responseMs": round(result.response_ms, 3),
            "statusCode": result.status_code,
            "reason": result.reason,
            "resolveMs": result.resolve_ms,
            "connectMs": result.connect_ms,
            "tlsMs": result.tls_ms,
            "firstByteMs": result.first_byte_ms,
            "transferMs": result.transfer_ms,
            "tries": found.tries,
            "facts": dict(result.facts),
        }
    )
