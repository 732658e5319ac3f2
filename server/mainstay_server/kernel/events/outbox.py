"""Saying: the event and what each reaction must hear become rows of the speaker's transaction."""

import threading
from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.kernel.database import after_commit, new_id, rows_changed

from .audited import Audited
from .models import DeliveryStatus, OutboxDelivery, OutboxEvent
from .reactions import Event, Reaction, event_kinds, origin, reactions_to

MOST_DEAD_LETTERS = 500

_bells: list[threading.Event] = []


def new_bell() -> threading.Event:
    """An event that is set after every commit that said something, for a runner to wait for."""
    bell = threading.Event()
    _bells.append(bell)
    return bell


def ring() -> None:
    """Wake the runners of this process: there is something to hand over."""
    for bell in _bells:
        bell.set()


def say(session: Session, event: Event, *, now: datetime) -> None:
    """Say that something happened; heard after the commit, or never if it rolls back."""
    say_all(session, [event], now=now)


def say_all(session: Session, said: Sequence[Event], *, now: datetime) -> None:
    """Say that several things happened, in this order; in few statements for however many."""
    who = origin()
    rows = [
        OutboxEvent(
            name=type(event).__name__,
            subject=event.subject,
            body=msgspec.json.encode(event).decode(),
            said_at=now,
            actor=who.actor,
            actor_name=who.name,
            actor_email=who.email,
            address=who.address,
            client=who.client[:300],
        )
        for event in said
    ]
    session.add_all(rows)
    session.flush()
    session.add_all(
        OutboxDelivery(
            id=new_id(),
            position=row.position,
            reaction=reaction.name,
            subject=_order(reaction, event),
            due_at=now,
        )
        for row, event in zip(rows, said, strict=True)
        for reaction in reactions_to(type(event))
    )
    after_commit(session, "outbox", ring)


def _order(reaction: Reaction, event: Event) -> str:
    """What the events that a reaction hears in order have in common."""
    if reaction.event is None and isinstance(event, Audited):
        return event.organization_id
    return event.subject


def said_events(session: Session, *, after: int = 0) -> list[tuple[int, Event]]:
    """The events said after a position of the outbox, in order, with their positions."""
    kinds = event_kinds()
    rows = session.execute(
        sa.select(OutboxEvent.position, OutboxEvent.name, OutboxEvent.body)
        .where(OutboxEvent.position > after)
        .order_by(OutboxEvent.position)
    )
    return [
        (position, msgspec.json.decode(body, type=kinds[name]))
        for position, name, body in rows
        if name in kinds
    ]


def dead_letters(session: Session, *, reaction: str = "") -> Sequence[OutboxDelivery]:
    """The deliveries that were given up, newest first, at most 500."""
    statement = sa.select(OutboxDelivery).where(OutboxDelivery.status == DeliveryStatus.DEAD)
    if reaction:
        statement = statement.where(OutboxDelivery.reaction == reaction)
    return session.scalars(
        statement.order_by(OutboxDelivery.position.desc()).limit(MOST_DEAD_LETTERS)
    ).all()


def resend(session: Session, delivery_id: str, *, now: datetime) -> bool:
    """Give a dead letter its tries back, under its old idempotency key; False if it is not dead."""
    after_commit(session, "outbox", ring)
    return bool(
        rows_changed(
            session,
            sa.update(OutboxDelivery)
            .where(OutboxDelivery.id == delivery_id, OutboxDelivery.status == DeliveryStatus.DEAD)
            .values(status=DeliveryStatus.WAITING, attempts=0, due_at=now, done_at=None),
        )
    )


def hasten(session: Session, delivery_ids: Sequence[str], *, now: datetime) -> int:
    """Let deliveries that wait for their next try have it now; returns how many that were."""
    after_commit(session, "outbox", ring)
    return rows_changed(
        session,
        sa.update(OutboxDelivery)
        .where(
            OutboxDelivery.id.in_(delivery_ids),
            OutboxDelivery.status == DeliveryStatus.WAITING,
            OutboxDelivery.due_at > now,
        )
        .values(due_at=now),
    )
