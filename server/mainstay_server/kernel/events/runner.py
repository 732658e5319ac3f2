"""The outbox runner: hands every waiting delivery to its reaction, in order per subject."""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from mainstay_server.kernel import leases
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import is_sqlite, reading, rows_changed, transaction
from mainstay_server.kernel.problems import Unavailable

from .audited import Audited, Heard
from .models import DeliveryStatus, OutboxDelivery, OutboxEvent
from .outbox import new_bell, ring
from .reactions import (
    Delivered,
    Delivery,
    Event,
    NotYet,
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
MOST_TOGETHER = 500
RENEWALS_PER_LEASE = 3
IDLE_SECONDS = 0.5
LONGEST_ERROR = 500


@dataclass(frozen=True)
class _Claimed:
    """A delivery that this process may work on, with what it needs to."""

    id: str
    reaction: Reaction
    event: Event
    position: int
    origin: Origin
    said_at: datetime
    attempt: int


@dataclass(frozen=True)
class _Sent:
    """How a try went: it failed, or what the sender returned."""

    claimed: _Claimed
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
                    claimed = []
                for delivery in claimed:
                    future = pool.submit(send_one, delivery)
                    self._sending[future] = delivery.id
                    future.add_done_callback(lambda _done: self._sendings_due.set())
                self._sendings_due.wait(0 if claimed else IDLE_SECONDS)

    def _record_and_claim(self) -> list[_Claimed]:
        done = [future for future in self._sending if future.done()]
        working = [id_ for future, id_ in self._sending.items() if future not in done]
        now, free = utc_now(), 0 if self._stop.is_set() else SENDERS - len(working)
        pause_seconds = self._lease.total_seconds() / RENEWALS_PER_LEASE
        renewing = bool(working) and time.monotonic() - self._renewed > pause_seconds
        if not (done or renewing or _is_anything_due(now, free)):
            return []  # nobody's write lock is taken while senders wait for receivers
        sent = [future.result() for future in done]
        claimed: list[_Claimed] = []
        try:
            with transaction() as session:
                _record(session, sent, now=now)
                _renew(session, working, until=now + self._lease)
                claimed = claim_for_sending(session, now=now, lease=self._lease, limit=free)
        except Unavailable:
            raise
        except Exception:
            log.exception("what was sent could not be written down together; each alone then")
            claimed = []
            for one in sent:
                record(one, now=now)
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
        if not _due(session, now, in_transaction=True, limit=1):
            return False
    with transaction() as session:
        rows = _due(session, now, in_transaction=True, limit=1, lock=True)
        for row in rows:
            _react(session, row, now=now)
        return bool(rows)


def _react(session: Session, row: OutboxDelivery, *, now: datetime) -> None:
    """Run one delivery's reaction, or that to everything audited for those that follow it, too."""
    reaction = reaction_named(row.reaction)
    assert reaction is not None, "only deliveries of installed reactions are claimed"
    together = reaction.event is None
    rows = [row, *_followers(session, row, now)] if together else [row]
    claimed = _load(session, rows)
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
        _finish(session, claimed[:1], error, now=now)
    else:
        _finish(session, claimed, None, now=now)


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


def _as_heard(claimed: _Claimed) -> Heard:
    assert isinstance(claimed.event, Audited), "only what is audited is handed to everything's"
    return Heard(
        position=claimed.position,
        event=claimed.event,
        origin=claimed.origin,
        said_at=claimed.said_at,
    )


def claim_for_sending(
    session: Session, *, now: datetime, lease: timedelta, limit: int
) -> list[_Claimed]:
    """Take due deliveries of senders for this process, for the time of the lease."""
    if limit <= 0:
        return []
    rows = _due(session, now, in_transaction=False, limit=limit, lock=True)
    for row in rows:
        row.owner = str(leases.this_process())
        row.leased_until = now + lease
    return _load(session, rows)


def send_one(claimed: _Claimed, *, clock: Callable[[], datetime] = utc_now) -> _Sent:
    """Run a sender outside any transaction; returns how it went, to be recorded."""
    delivery = Delivery(
        id=claimed.id,
        attempt=claimed.attempt,
        last=claimed.attempt >= MOST_ATTEMPTS,
        said_at=claimed.said_at,
        at=clock(),
    )
    try:
        answer = claimed.reaction.function(claimed.event, delivery=delivery)
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
            _finish(session, [sent.claimed], sent.failure or error, now=now)


def _record(session: Session, sent: Sequence[_Sent], *, now: datetime) -> None:
    """Write down how tries went; those that went well together."""
    well: dict[tuple[str, Origin], list[_Sent]] = {}
    for one in sent:
        if one.failure is None:
            well.setdefault((one.claimed.reaction.name, one.claimed.origin), []).append(one)
            continue
        with spoken_by(one.claimed.origin):
            _finish(session, [one.claimed], one.failure, now=now)
    for (_, who), tries in well.items():
        _finish(session, [one.claimed for one in tries], None, now=now)
        if tell := tries[0].claimed.reaction.delivered:
            with spoken_by(who):
                tell(session, [_as_delivered(one) for one in tries], now=now)


def _as_delivered(sent: _Sent) -> Delivered:
    return Delivered(event=sent.claimed.event, delivery=sent.delivery, answer=sent.answer)


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


def _is_anything_due(now: datetime, free: int) -> bool:
    """Whether a free sender would find something to do."""
    if free <= 0:
        return False
    with reading() as session:
        return bool(_due(session, now, in_transaction=False, limit=1))


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


def _load(session: Session, rows: Sequence[OutboxDelivery]) -> list[_Claimed]:
    """Count a try of each delivery and decode its event.

    One whose event no code understands any more becomes dead and is left out.
    """
    positions = [row.position for row in rows]
    said = session.scalars(sa.select(OutboxEvent).where(OutboxEvent.position.in_(positions)))
    events = {event.position: event for event in said}
    kinds = event_kinds()
    claimed = []
    for row in rows:
        row.attempts += 1
        try:
            claimed.append(_decoded(row, events[row.position], kinds))
        except msgspec.ValidationError as error:
            row.status, row.last_error = DeliveryStatus.DEAD, str(error)[:LONGEST_ERROR]
    session.flush()
    return claimed


def _decoded(row: OutboxDelivery, said: OutboxEvent, kinds: Mapping[str, type[Event]]) -> _Claimed:
    event = msgspec.json.decode(said.body, type=kinds.get(said.name, Event))
    reaction = reaction_named(row.reaction)
    assert reaction is not None, "only deliveries of installed reactions are claimed"
    who = Origin(
        actor=said.actor,
        name=said.actor_name,
        email=said.actor_email,
        address=said.address,
        client=said.client,
    )
    return _Claimed(
        id=row.id,
        reaction=reaction,
        event=event,
        position=said.position,
        origin=who,
        said_at=said.said_at,
        attempt=row.attempts,
    )


def _finish(
    session: Session, deliveries: Sequence[_Claimed], failure: Exception | None, *, now: datetime
) -> None:
    """Write down how a try went. Done stays done: a late second finisher changes nothing."""
    delivery = deliveries[0]
    values: dict[str, object] = {"owner": "", "leased_until": None}
    reason = (str(failure) or type(failure).__name__)[:LONGEST_ERROR] if failure else ""
    waits = isinstance(failure, NotYet)
    give_up = isinstance(failure, Refused) or (delivery.attempt >= MOST_ATTEMPTS and not waits)
    if failure is None:
        values |= {"status": DeliveryStatus.DONE, "done_at": now, "last_error": ""}
    elif isinstance(failure, NotYet):
        due = now + timedelta(seconds=failure.seconds)
        values |= {"due_at": due, "attempts": delivery.attempt - 1}
    elif give_up:
        values |= {"status": DeliveryStatus.DEAD, "done_at": now, "last_error": reason}
    else:
        wished = failure.after_seconds if isinstance(failure, RetryLater) else None
        pause = max(pause_before(delivery.attempt), timedelta(seconds=wished or 0))
        values |= {"due_at": now + pause, "last_error": reason}
    changed = rows_changed(
        session,
        sa.update(OutboxDelivery)
        .where(
            OutboxDelivery.id.in_([each.id for each in deliveries]),
            OutboxDelivery.status == DeliveryStatus.WAITING,
        )
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
