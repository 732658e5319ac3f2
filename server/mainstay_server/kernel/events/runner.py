"""The outbox runner: hands every waiting delivery to its reaction, in order per subject."""

import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from mainstay_server.kernel import leases
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import is_sqlite, reading, rows_changed, transaction

from .models import DeliveryStatus, OutboxDelivery, OutboxEvent
from .outbox import new_bell, ring
from .reactions import (
    Delivery,
    Event,
    Origin,
    Reaction,
    Refused,
    RetryLater,
    event_kinds,
    installed_reactions,
    reaction_named,
    spoken_by,
)

log = logging.getLogger(__name__)

MOST_ATTEMPTS = 30  # with the back-off below: a day of tries before the dead letters
LONGEST_PAUSE = timedelta(hours=1)
SENDERS = 8
RENEWALS_PER_LEASE = 3
IDLE_SECONDS = 0.5
LONGEST_ERROR = 500


@dataclass(frozen=True)
class _Claimed:
    """A delivery that this process may work on, with what it needs to."""

    id: str
    reaction: Reaction
    event: Event
    origin: Origin
    said_at: datetime
    attempt: int


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
        self._sending: dict[Future[None], str] = {}
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
        with ThreadPoolExecutor(SENDERS, thread_name_prefix="outbox-sender") as pool:
            while not self._stop.is_set():
                self._sendings_due.clear()
                try:
                    claimed = self._claim_for_free_senders()
                except Exception:
                    log.exception("the outbox could not be read; trying again")
                    claimed = []
                for delivery in claimed:
                    future = pool.submit(send_one, delivery)
                    self._sending[future] = delivery.id
                    # The next one of the same subject may be waiting for this one.
                    future.add_done_callback(lambda _done: self._sendings_due.set())
                self._sendings_due.wait(0 if claimed else IDLE_SECONDS)

    def _claim_for_free_senders(self) -> list[_Claimed]:
        self._sending = {f: id_ for f, id_ in self._sending.items() if not f.done()}
        now, free = utc_now(), SENDERS - len(self._sending)
        pause_seconds = self._lease.total_seconds() / RENEWALS_PER_LEASE
        renewing = bool(self._sending) and time.monotonic() - self._renewed > pause_seconds
        with reading() as session:
            due = free > 0 and _due(session, now, in_transaction=False, limit=1)
        if not due and not renewing:
            return []  # nobody's write lock is taken while senders wait for receivers
        with transaction() as session:
            _renew(session, list(self._sending.values()), until=now + self._lease)
            self._renewed = time.monotonic()
            return claim_for_sending(session, now=now, lease=self._lease, limit=free)


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
        send_one(claimed[0], clock=lambda: now)
        handed += 1
    return handed


def react_to_next(*, now: datetime) -> bool:
    """Run the next due reaction in one transaction with its being done; False when none is due."""
    with reading() as session:
        if not _due(session, now, in_transaction=True, limit=1):
            return False
    with transaction() as session:
        rows = _due(session, now, in_transaction=True, limit=1, lock=True)
        claimed = [c for row in rows for c in _load(session, row)]
        for delivery in claimed:
            failure: Exception | None = None
            try:
                with session.begin_nested(), spoken_by(delivery.origin):
                    delivery.reaction.function(session, delivery.event, now=now)
            except Exception as error:  # the runner's one place: a bug must not stop the others
                log.exception("reaction %s failed", delivery.reaction.name)
                failure = error
            _finish(session, delivery, failure, now=now)
        return bool(rows)


def claim_for_sending(
    session: Session, *, now: datetime, lease: timedelta, limit: int
) -> list[_Claimed]:
    """Take due deliveries of senders for this process, for the time of the lease."""
    if limit <= 0:
        return []
    rows = _due(session, now, in_transaction=False, limit=limit, lock=True)
    claimed = []
    for row in rows:
        row.owner = str(leases.this_process())
        row.leased_until = now + lease
        claimed.extend(_load(session, row))
    return claimed


def send_one(delivery: _Claimed, *, clock: Callable[[], datetime] = utc_now) -> None:
    """Run a sender outside any transaction, then write down how it went."""
    failure: Exception | None = None
    try:
        delivery.reaction.function(
            delivery.event,
            delivery=Delivery(
                id=delivery.id,
                attempt=delivery.attempt,
                last=delivery.attempt >= MOST_ATTEMPTS,
                said_at=delivery.said_at,
            ),
        )
    except (RetryLater, Refused) as error:
        failure = error
    except Exception as error:  # the runner's one place: a bug must not stop the others
        log.exception("sender %s failed", delivery.reaction.name)
        failure = error
    with transaction() as session, spoken_by(delivery.origin):
        _finish(session, delivery, failure, now=clock())


def release_dead_owners(session: Session) -> int:
    """Free what killed processes of this host were sending; returns how many deliveries."""
    waiting = OutboxDelivery.status == DeliveryStatus.WAITING
    dead = leases.dead_owners(session, OutboxDelivery.owner, waiting)
    return rows_changed(
        session,
        sa.update(OutboxDelivery)
        .where(OutboxDelivery.owner.in_(dead), waiting)
        .values(owner="", leased_until=None),
    )


def pause_before(attempt: int) -> timedelta:
    """The back-off before the next try: doubling from two seconds to an hour, ± 20 % jitter."""
    seconds = min(2.0 ** min(attempt, 20), LONGEST_PAUSE.total_seconds())
    return timedelta(seconds=seconds * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, no secret


def _due(
    session: Session, now: datetime, *, in_transaction: bool, limit: int, lock: bool = False
) -> list[OutboxDelivery]:
    """The deliveries whose turn it is: due, not held, and first of their subject."""
    earlier = aliased(OutboxDelivery)
    names = [r.name for r in installed_reactions() if r.in_transaction is in_transaction]
    statement = (
        sa.select(OutboxDelivery)
        .where(
            OutboxDelivery.status == DeliveryStatus.WAITING,
            OutboxDelivery.due_at <= now,
            OutboxDelivery.reaction.in_(names),
            sa.or_(OutboxDelivery.leased_until.is_(None), OutboxDelivery.leased_until < now),
            sa.or_(
                OutboxDelivery.subject == "",
                ~sa.exists().where(
                    earlier.status == DeliveryStatus.WAITING,
                    earlier.reaction == OutboxDelivery.reaction,
                    earlier.subject == OutboxDelivery.subject,
                    earlier.position < OutboxDelivery.position,
                ),
            ),
        )
        .order_by(OutboxDelivery.position)
        .limit(limit)
    )
    if lock and not is_sqlite():
        statement = statement.with_for_update(skip_locked=True)
    return list(session.scalars(statement))


def _load(session: Session, row: OutboxDelivery) -> list[_Claimed]:
    """Decode the event of a delivery; one that no code understands any more becomes dead."""
    said = session.get_one(OutboxEvent, row.position)
    reaction, kind = reaction_named(row.reaction), event_kinds().get(said.name)
    row.attempts += 1
    session.flush()
    try:
        event = msgspec.json.decode(said.body, type=kind or Event)
    except msgspec.ValidationError as error:
        row.status, row.last_error = DeliveryStatus.DEAD, str(error)[:LONGEST_ERROR]
        return []
    assert reaction is not None, "only deliveries of installed reactions are claimed"
    who = Origin(
        actor=said.actor,
        name=said.actor_name,
        email=said.actor_email,
        address=said.address,
        client=said.client,
    )
    return [
        _Claimed(
            id=row.id,
            reaction=reaction,
            event=event,
            origin=who,
            said_at=said.said_at,
            attempt=row.attempts,
        )
    ]


def _finish(
    session: Session, delivery: _Claimed, failure: Exception | None, *, now: datetime
) -> None:
    """Write down how a try went. Done stays done: a late second finisher changes nothing."""
    values: dict[str, object] = {"owner": "", "leased_until": None}
    reason = (str(failure) or type(failure).__name__)[:LONGEST_ERROR] if failure else ""
    give_up = isinstance(failure, Refused) or delivery.attempt >= MOST_ATTEMPTS
    if failure is None:
        values |= {"status": DeliveryStatus.DONE, "done_at": now, "last_error": ""}
    elif give_up:
        values |= {"status": DeliveryStatus.DEAD, "done_at": now, "last_error": reason}
    else:
        wished = failure.after_seconds if isinstance(failure, RetryLater) else None
        pause = max(pause_before(delivery.attempt), timedelta(seconds=wished or 0))
        values |= {"due_at": now + pause, "last_error": reason}
    changed = rows_changed(
        session,
        sa.update(OutboxDelivery)
        .where(OutboxDelivery.id == delivery.id, OutboxDelivery.status == DeliveryStatus.WAITING)
        .values(**values),
    )
    if changed and failure and give_up and delivery.reaction.given_up:
        delivery.reaction.given_up(session, delivery.event, reason=reason, now=now)


def _renew(session: Session, delivery_ids: list[str], *, until: datetime) -> None:
    if delivery_ids:
        session.execute(
            sa.update(OutboxDelivery)
            .where(OutboxDelivery.id.in_(delivery_ids))
            .values(leased_until=until)
        )
