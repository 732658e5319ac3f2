"""The outbox runner: hands every waiting delivery to its reaction, in order per subject."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import is_sqlite, reading, transaction
from mainstay_server.kernel.problems import Unavailable

from .audited import Audited, Heard
from .deliveries import (
    MOST_ATTEMPTS,
    Claimed,
    claim_for_sending,
    due,
    finish,
    load,
    release_dead_owners,
    renew,
)
from .models import DeliveryStatus, OutboxDelivery
from .outbox import new_bell, ring
from .reactions import (
    Delivered,
    Delivery,
    NotYet,
    Origin,
    Refused,
    RetryLater,
    reaction_named,
    spoken_by,
)

log = logging.getLogger(__name__)

SENDERS = 12  # one host gets six calls at once: as many wait behind them, and not for long
MOST_TOGETHER = 500
RENEWALS_PER_LEASE = 3
IDLE_SECONDS = 0.5
NOTHING_READ: Mapping[str, object] = {}


@dataclass(frozen=True)
class _Sent:
    """How a try went: it failed, or what the sender returned."""

    claimed: Claimed
    delivery: Delivery
    failure: Exception | None
    answer: object


class OutboxRunner:
    """Threads that keep the outbox empty while the process lives; `start`, then `stop`."""

    def __init__(self, *, lease: timedelta) -> None:
        self._lease = lease
        self._stop = threading.Event()
        self._reactions_due = new_bell()
        self._sendings_due = new_bell()
        self._threads = [
            threading.Thread(target=self._react, name="outbox-reactions", daemon=True),
            threading.Thread(target=self._send, name="outbox-senders", daemon=True),
        ]
        self._sending: dict[Future[_Sent], str] = {}
        self._renewed = time.monotonic()

    def start(self) -> None:
        """Take over what dead processes of this host held, then begin."""
        with transaction() as session:
            release_dead_owners(session)
        for thread in self._threads:
            thread.start()

    def stop(self, *, timeout_seconds: float = 10) -> None:
        """Finish what is being sent, claim nothing more."""
        self._stop.set()
        ring()
        for thread in self._threads:
            thread.join(timeout_seconds)

    def _react(self) -> None:
        while not self._stop.is_set():
            self._reactions_due.clear()
            try:
                while not self._stop.is_set() and react_to_next(now=utc_now()):
                    pass
            except Exception:
                log.exception("the outbox could not be read; trying again")
                self._stop.wait(IDLE_SECONDS)
            self._reactions_due.wait(IDLE_SECONDS)

    def _send(self) -> None:
        """Keep the senders busy; one transaction writes down what they did and claims what is next.

        Whatever has been sent while the last one was written shares the next, so that many do not
        each wait for the disk.
        """
        with ThreadPoolExecutor(SENDERS, thread_name_prefix="outbox-sender") as pool:
            while self._sending or not self._stop.is_set():
                self._sendings_due.clear()
                try:
                    claimed = self._record_and_claim()
                except Exception:
                    log.exception("the outbox could not be read or written; trying again")
                    if self._stop.is_set():
                        return  # what is not written down is freed when its lease runs out
                    claimed = []
                ahead = _read_ahead(claimed)
                for delivery in claimed:
                    future = pool.submit(send_one, delivery, ahead)
                    self._sending[future] = delivery.id
                    future.add_done_callback(lambda _done: self._sendings_due.set())
                self._sendings_due.wait(0 if claimed else IDLE_SECONDS)

    def _record_and_claim(self) -> list[Claimed]:
        done = [future for future in self._sending if future.done()]
        working = [id_ for future, id_ in self._sending.items() if future not in done]
        now, free = utc_now(), 0 if self._stop.is_set() else SENDERS - len(working)
        pause_seconds = self._lease.total_seconds() / RENEWALS_PER_LEASE
        renewing = bool(working) and time.monotonic() - self._renewed > pause_seconds
        if not (done or renewing or _is_anything_due(now, free)):
            return []  # nobody's write lock is taken while senders wait for receivers
        sent = [future.result() for future in done]
        try:
            with transaction() as session:
                _record(session, sent, now=now)
                if renewing:
                    renew(session, working, until=now + self._lease)
                claimed = claim_for_sending(session, now=now, lease=self._lease, limit=free)
        except Unavailable:
            raise
        except Exception:
            log.exception("what was sent could not be written down together; each alone then")
            claimed = []  # a commit that failed has taken nothing
            for one in sent:
                record(one, now=now)
        if renewing:
            self._renewed = time.monotonic()
        for future in done:
            del self._sending[future]
        return claimed


def run_waiting(*, now: datetime, most: int = 1000) -> int:
    """Hand over everything that is due, in this thread; returns how many. For tests and scripts."""
    handed = 0
    while handed < most:
        if react_to_next(now=now):
            handed += 1
            continue
        with transaction() as session:
            claimed = claim_for_sending(session, now=now, lease=timedelta(minutes=1), limit=1)
        if not claimed:
            return handed
        record(send_one(claimed[0], clock=lambda: now), now=now)
        handed += 1
    return handed


def react_to_next(*, now: datetime) -> bool:
    """Run the next due reaction in one transaction with its being done; False when none is due."""
    with reading() as session:
        if not due(session, now, in_transaction=True, limit=1):
            return False
    with transaction() as session:
        rows = due(session, now, in_transaction=True, limit=1, lock=True)
        for row in rows:
            _react(session, row, now=now)
        return bool(rows)


def _react(session: Session, row: OutboxDelivery, *, now: datetime) -> None:
    """Run one delivery's reaction, or that to everything audited for those that follow it, too."""
    reaction = reaction_named(row.reaction)
    assert reaction is not None, "only deliveries of installed reactions are claimed"
    together = reaction.event is None
    rows = [row, *_followers(session, row, now)] if together else [row]
    claimed = load(session, rows)
    if not claimed:
        return
    try:
        with session.begin_nested(), spoken_by(claimed[0].origin):
            if together:
                reaction.function(session, [_as_heard(each) for each in claimed], now=now)
            else:
                reaction.function(session, claimed[0].event, now=now)
    except Exception as error:  # the runner's one place: a bug must not stop the others
        log.exception("reaction %s failed", reaction.name)
        # Those that followed were only taken along: they wait for the first one, and go alone.
        finish(session, claimed[:1], error, now=now)
    else:
        finish(session, claimed, None, now=now)


def _followers(session: Session, first: OutboxDelivery, now: datetime) -> list[OutboxDelivery]:
    """What waits behind a delivery that this transaction holds, in order, as far as it is free.

    Usually nobody else holds one of them, since they have no turn while the first waits. But what
    was said earlier may be committed later: then its delivery is a first one while others of its
    subject are being heard. So they are held as well, and the first that is not free ends the row.
    After a failure each goes alone, so that one that cannot be taken holds up no more than it must.
    """
    if first.attempts:
        return []
    behind = (
        sa.select(OutboxDelivery)
        .where(
            OutboxDelivery.status == DeliveryStatus.WAITING,
            OutboxDelivery.reaction == first.reaction,
            OutboxDelivery.subject == first.subject,
            OutboxDelivery.position > first.position,
        )
        .order_by(OutboxDelivery.position)
        .limit(MOST_TOGETHER - 1)
    )
    waiting = list(session.scalars(behind))
    free = {row.id for row in waiting}
    if not is_sqlite():
        held = behind.with_for_update(skip_locked=True).execution_options(populate_existing=True)
        free = {row.id for row in session.scalars(held)}
    return list(
        takewhile(lambda row: row.id in free and row.due_at <= now and not row.attempts, waiting)
    )


def _as_heard(claimed: Claimed) -> Heard:
    assert isinstance(claimed.event, Audited), "only what is audited is handed to everything's"
    return Heard(
        position=claimed.position,
        event=claimed.event,
        origin=claimed.origin,
        said_at=claimed.said_at,
    )


def _read_ahead(claimed: Sequence[Claimed]) -> Mapping[str, object]:
    """What senders need to know, by delivery; nothing where one cannot: each then reads alone."""
    try:
        return _read(claimed, now=utc_now())
    except Exception:
        log.exception("what is to be sent could not be read together; each alone then")
        return {}


def _read(claimed: Sequence[Claimed], *, now: datetime) -> Mapping[str, object]:
    """What the senders of deliveries need to know, by delivery; each is asked once for all."""
    asked: dict[str, list[Claimed]] = {}
    for one in claimed:
        if one.reaction.reads is not None:
            asked.setdefault(one.reaction.name, []).append(one)
    if not asked:
        return {}
    found: dict[str, object] = {}
    with reading() as session:
        for theirs in asked.values():
            reads = theirs[0].reaction.reads
            assert reads is not None, "only those that read were gathered"
            known = reads(session, [one.event for one in theirs], now=now)
            found |= {one.id: each for one, each in zip(theirs, known, strict=True)}
    return found


def send_one(
    claimed: Claimed,
    ahead: Mapping[str, object] = NOTHING_READ,
    *,
    clock: Callable[[], datetime] = utc_now,
) -> _Sent:
    """Run a sender outside any transaction; returns how it went, to be recorded.

    `ahead` is what was read for several; what it lacks of this one is read now.
    """
    delivery = Delivery(
        id=claimed.id,
        attempt=claimed.attempt,
        last=claimed.attempt >= MOST_ATTEMPTS,
        said_at=claimed.said_at,
        at=clock(),
    )
    try:
        if claimed.reaction.reads is None:
            answer = claimed.reaction.function(claimed.event, delivery=delivery)
        else:
            known = ahead if claimed.id in ahead else _read([claimed], now=delivery.at)
            answer = claimed.reaction.function(
                claimed.event, delivery=delivery, read=known[claimed.id]
            )
    except (RetryLater, Refused, NotYet) as error:
        return _Sent(claimed, delivery, error, None)
    except Exception as error:  # the runner's one place: a bug must not stop the others
        log.exception("sender %s failed", claimed.reaction.name)
        return _Sent(claimed, delivery, error, None)
    return _Sent(claimed, delivery, None, answer)


def record(sent: _Sent, *, now: datetime) -> None:
    """Write down how one try went; what cannot be written down is tried again like what failed."""
    try:
        with transaction() as session:
            _record(session, [sent], now=now)
    except Unavailable:
        raise
    except Exception as error:  # the runner's one place: a bug must not stop the others
        log.exception("what came of %s could not be written down", sent.claimed.reaction.name)
        with transaction() as session:
            finish(session, [sent.claimed], sent.failure or error, now=now)


def _record(session: Session, sent: Sequence[_Sent], *, now: datetime) -> None:
    """Write down how tries went; those that went well together."""
    well: dict[tuple[str, Origin], list[_Sent]] = {}
    for one in sent:
        if one.failure is None:
            well.setdefault((one.claimed.reaction.name, one.claimed.origin), []).append(one)
            continue
        with spoken_by(one.claimed.origin):
            finish(session, [one.claimed], one.failure, now=now)
    for (_, who), tries in well.items():
        finish(session, [one.claimed for one in tries], None, now=now)
        if tell := tries[0].claimed.reaction.delivered:
            with spoken_by(who):
                tell(session, [_as_delivered(one) for one in tries], now=now)


def _as_delivered(sent: _Sent) -> Delivered:
    return Delivered(event=sent.claimed.event, delivery=sent.delivery, answer=sent.answer)


def _is_anything_due(now: datetime, free: int) -> bool:
    """Whether a free sender would find something to do."""
    if free <= 0:
        return False
    with reading() as session:
        return bool(due(session, now, in_transaction=False, limit=1))
