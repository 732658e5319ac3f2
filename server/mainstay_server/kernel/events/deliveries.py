"""Deliveries as rows: whose turn it is, taking them for a while, and how a try went."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from mainstay_server.kernel import leases
from mainstay_server.kernel.database import UtcDateTime, rows_changed

from .models import DeliveryStatus, OutboxDelivery, OutboxEvent
from .reactions import (
    Event,
    NotYet,
    Origin,
    Reaction,
    Refused,
    RetryLater,
    event_kinds,
    installed_reactions,
    reaction_named,
)

MOST_ATTEMPTS = 30  # with the back-off below: a day of tries before the dead letters
LONGEST_PAUSE = timedelta(hours=1)
LONGEST_ERROR = 500


@dataclass(frozen=True)
class Claimed:
    """A delivery that this process may work on, with what it needs to."""

    id: str
    reaction: Reaction
    event: Event
    position: int
    origin: Origin
    said_at: datetime
    attempt: int


def claim_for_sending(
    session: Session, *, now: datetime, lease: timedelta, limit: int
) -> list[Claimed]:
    """Take due deliveries of senders for this process, for the time of the lease."""
    if limit <= 0:
        return []
    rows = due(session, now, in_transaction=False, limit=limit, lock=True)
    for row in rows:
        row.owner = str(leases.this_process())
        row.leased_until = now + lease
    return load(session, rows)


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


def due(
    session: Session, now: datetime, *, in_transaction: bool, limit: int, lock: bool = False
) -> list[OutboxDelivery]:
    """The deliveries whose turn it is: due, not held, and first of their subject.

    Senders take what has been due for longest. By position, a crowd that is tried again and again,
    or waits for its turn at a slow receiver, would come before everything that was said after it.
    """
    names = [r.name for r in installed_reactions() if r.in_transaction is in_transaction]
    statement = _DUE_REACTIONS if in_transaction else _DUE_SENDINGS
    if lock:
        statement = statement.with_for_update(skip_locked=True)
    return list(session.scalars(statement, {"names": names, "now": now, "most": limit}))


def _due_in(*order: InstrumentedAttribute[Any]) -> sa.Select[OutboxDelivery]:
    """What is due of some reactions; built once, for building it takes longer than asking."""
    now = sa.bindparam("now", type_=UtcDateTime())
    earlier = aliased(OutboxDelivery)
    return (
        sa.select(OutboxDelivery)
        .where(
            OutboxDelivery.status == DeliveryStatus.WAITING,
            OutboxDelivery.due_at <= now,
            OutboxDelivery.reaction.in_(sa.bindparam("names", expanding=True)),
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
        .order_by(*order)
        .limit(sa.bindparam("most", type_=sa.Integer()))
    )


_DUE_REACTIONS = _due_in(OutboxDelivery.position)
_DUE_SENDINGS = _due_in(OutboxDelivery.due_at, OutboxDelivery.position)


def load(session: Session, rows: Sequence[OutboxDelivery]) -> list[Claimed]:
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


def _decoded(row: OutboxDelivery, said: OutboxEvent, kinds: Mapping[str, type[Event]]) -> Claimed:
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
    return Claimed(
        id=row.id,
        reaction=reaction,
        event=event,
        position=said.position,
        origin=who,
        said_at=said.said_at,
        attempt=row.attempts,
    )


def finish(
    session: Session, deliveries: Sequence[Claimed], failure: Exception | None, *, now: datetime
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
        turn = now + timedelta(seconds=failure.seconds)
        values |= {"due_at": turn, "attempts": delivery.attempt - 1}
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


def renew(session: Session, delivery_ids: Sequence[str], *, until: datetime) -> None:
    """Keep deliveries that this process still works on."""
    if delivery_ids:
        session.execute(
            sa.update(OutboxDelivery)
            .where(OutboxDelivery.id.in_(delivery_ids))
            .values(leased_until=until)
        )
