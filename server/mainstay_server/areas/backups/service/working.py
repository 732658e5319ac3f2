"""Working: a worker makes backups that wait, a few at once, each in a thread of its own."""

import asyncio
import contextlib
import logging
import threading
import time
from datetime import datetime, timedelta

from mainstay_server.areas.backups.models import Backup, BackupKind
from mainstay_server.areas.backups.schemas import EngineFailed
from mainstay_server.areas.backups.settings import BackupSettings
from mainstay_server.kernel.area import StopSignal
from mainstay_server.kernel.copies.destinations import reason_of
from mainstay_server.kernel.copies.opened import open_destination
from mainstay_server.kernel.copies.running import CopyFailed
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.problems import Problem, Unavailable
from mainstay_server.kernel.settings import ServerSettings, of

from . import claims, point_in_time
from .claims import Claim, TakenOver
from .folders import work_folder
from .making import Made, Order, keys_of, make, read_order
from .pulses import Cancelled, Clock, Interrupted, Pulse
from .recording import record_cancelled, record_failed, record_made
from .sweeping import sweep_one

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
RECORD_SECONDS = 600.0
END_SECONDS = 8.0  # the process waits ten for its loops


class Workers:
    """One process's part: looks once a second for what waits, while it has a thread free."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._lease = timedelta(seconds=of(ServerSettings).lease_seconds)
        self._at_once = of(BackupSettings).backups_at_once
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    async def run(self, stop: StopSignal) -> None:
        """Make backups until `stop` is set; those under way are given back, to be made anew."""
        try:
            while not stop.is_set():
                await asyncio.to_thread(self.look)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), TICK_SECONDS)
        finally:
            self._stop.set()
            await asyncio.to_thread(self._join)

    def look(self) -> None:
        """Begin what waits, as far as there are threads."""
        self._threads = [each for each in self._threads if each.is_alive()]
        while len(self._threads) < self._at_once:
            claim = self._claim()
            if claim is None:
                return
            thread = threading.Thread(
                target=make_claimed,
                args=(claim,),
                kwargs={"clock": self._clock, "lease": self._lease, "stop": self._stop},
                name=f"backup-{claim.backup_id}",
                daemon=True,
            )
            thread.start()
            self._threads.append(thread)

    def _claim(self) -> Claim | None:
        """Looks first without the lock that all writers of SQLite queue for."""
        now = self._clock()
        with reading() as session:
            if not claims.does_one_wait(session, now=now):
                return None
        with transaction() as session:
            return claims.claim_next(session, now=now, lease=self._lease)

    def _join(self) -> None:
        for each in self._threads:
            each.join(END_SECONDS / len(self._threads))


def make_due(*, clock: Clock, lease: timedelta = timedelta(minutes=1)) -> list[str]:
    """Make everything that waits, in this thread, one after the other; returns their ids."""
    made: list[str] = []
    while True:
        with transaction() as session:
            claim = claims.claim_next(session, now=clock(), lease=lease)
        if claim is None:
            return made
        make_claimed(claim, clock=clock, lease=lease, stop=threading.Event())
        made.append(claim.backup_id)


def make_claimed(claim: Claim, *, clock: Clock, lease: timedelta, stop: threading.Event) -> None:
    """Make one backup and write down what came of it; raises nothing, for it ends a thread."""
    try:
        _make_and_record(claim, clock=clock, lease=lease, stop=stop)
    except TakenOver:
        log.warning("backup %s was taken over by another worker", claim.backup_id)
    except Exception:  # the thread's one place: what is not recorded here, the lease's end records
        log.exception("backup %s could not be recorded", claim.backup_id)


def _make_and_record(
    claim: Claim, *, clock: Clock, lease: timedelta, stop: threading.Event
) -> None:
    with reading() as session:
        order = read_order(session, claim)
    pulse = Pulse(claim, clock=clock, lease=lease, stop=stop)
    try:
        with pulse.beating(), work_folder() as room:
            made = make(order, pulse, room=room, clock=clock)
    except TakenOver:
        raise
    except Exception as error:  # noqa: BLE001 - the runner's one place: every end is written down
        _record_end(claim, error, now=clock())
    else:
        _record_made(claim, order, made, clock=clock, stop=stop)
    sweep_one(claim.backup_id, now=clock())


def _record_end(claim: Claim, error: Exception, *, now: datetime) -> None:
    if isinstance(error, Interrupted):
        with transaction() as session:
            claims.give_back(session, claim, now=now)
        return
    if isinstance(error, Cancelled):
        with transaction() as session:
            record_cancelled(session, claim, now=now)
        return
    if isinstance(error, Problem):  # a person has to mend it first
        reason, may_retry = error.detail, False
    elif isinstance(error, EngineFailed | CopyFailed):
        reason, may_retry = str(error), True
    elif isinstance(error, OSError):
        reason, may_retry = reason_of(error), True
    else:
        log.error("backup %s failed", claim.backup_id, exc_info=error)
        reason = f"Something unexpected happened ({type(error).__name__}); look at the log."
        may_retry = True
    _record_failed(claim, reason, may_retry=may_retry, now=now)


def _record_failed(claim: Claim, reason: str, *, may_retry: bool, now: datetime) -> None:
    with transaction() as session:
        backup = record_failed(
            session, claim, reason, may_retry=may_retry and _is_scheduled(claim), now=now
        )
        log.warning("backup %s failed: %s", backup.id, reason)


def _is_scheduled(claim: Claim) -> bool:
    with reading() as session:
        backup = session.get(Backup, claim.backup_id)
        return backup is not None and backup.kind == BackupKind.SCHEDULED


def _record_made(
    claim: Claim, order: Order, made: Made, *, clock: Clock, stop: threading.Event
) -> None:
    """A database that is away for a moment must not cost a dump that took hours."""
    deadline = time.monotonic() + RECORD_SECONDS
    try:
        while not _is_recorded(claim, made, now=clock()):
            if stop.wait(TICK_SECONDS) or time.monotonic() > deadline:
                log.error("backup %s is stored, and could not be written down", claim.backup_id)
                return
        point_in_time.let_go(order, made.manifest)
    except TakenOver:
        # Whoever took it over has written it down as failed; its copies would be nobody's.
        for url in order.urls.values():
            _discard(url, keys_of(order, made.manifest.beside), now=clock())
        raise


def _is_recorded(claim: Claim, made: Made, *, now: datetime) -> bool:
    try:
        with transaction() as session:
            record_made(session, claim, made, now=now)
    except Unavailable:
        return False
    return True


def _discard(url: str, keys: tuple[str, ...], *, now: datetime) -> None:
    place = open_destination(url)
    for key in keys:
        with contextlib.suppress(Exception):
            place.remove(key, now=now)
