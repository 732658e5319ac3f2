"""What an event is, who reacts to it, and how a reaction says that it could not."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, TypeVar

import msgspec

from mainstay_server.kernel.naming import name_of

Said = TypeVar("Said", bound="Event")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, in the past tense; its fields are plain values.

    Events of one `subject` reach a reaction in the order they were said; an empty subject asks
    for no order. `audited` events also go into the audit log.
    """

    audited: ClassVar[bool] = False

    @property
    def subject(self) -> str:
        """What the event is about, such as an instance's id."""
        return ""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Who did it: a person's or token's id, the client address and the client's own name.

    `name` and `email` are those of the moment: of the person, or of a token and its person.
    """

    actor: str = ""
    name: str = ""
    email: str = ""
    address: str = ""
    client: str = ""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One try of a sender. `id` stays the same over all tries: the idempotency key.

    `last` is true when no other try follows: what fails now goes to the dead letters. `at` is when
    this try began.
    """

    id: str
    attempt: int
    last: bool
    said_at: datetime
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """A try of a sender that went well, with what the sender returned of it."""

    event: Event
    delivery: Delivery
    answer: Any


class RetryLater(Exception):
    """The receiver cannot take it now. Tried again with back-off, not before `after_seconds`."""

    def __init__(self, reason: str, *, after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.after_seconds = after_seconds


class NotYet(Exception):
    """It is not this delivery's turn: no try was made, and none is counted. Again in `seconds`."""

    def __init__(self, reason: str, *, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds


class Refused(Exception):
    """The receiver will never take it: straight to the dead letters, no other try."""


@dataclass(frozen=True, kw_only=True)
class Reaction:
    """A function that hears one kind of event.

    A reaction in a transaction (`@on`) is `def f(session, event, *, now)`; its changes and its
    being done are committed together, so its effect happens once. A sender (`@sends`) is
    `def f(event, *, delivery)`, runs outside any transaction, at least once, and has to pass
    `delivery.id` on as idempotency key. `reads` is asked before what it needs to know, for several
    tries at once, and it is handed its own part as `read`. `delivered` writes down what came of
    it, of several tries at once, in the transaction in which they are done. `given_up` is told, in
    a transaction, of a dead letter.

    A reaction to everything that is audited (`@on_audited`) has no one kind of `event`: it hears
    one organization's events in order, many at once.
    """

    event: type[Event] | None
    name: str
    function: Callable[..., Any]
    in_transaction: bool
    reads: Callable[..., Sequence[object]] | None = None
    delivered: Callable[..., None] | None = None
    given_up: Callable[..., None] | None = None


NOBODY = Origin()
_origin: ContextVar[Origin] = ContextVar("origin", default=NOBODY)
_reactions: dict[type[Event] | None, tuple[Reaction, ...]] = {}


def on(event: type[Said]) -> Callable[[Callable[..., None]], Reaction]:
    """Mark `def f(session, event, *, now)` as a reaction that runs in its own transaction."""

    def mark(function: Callable[..., None]) -> Reaction:
        return Reaction(event=event, name=name_of(function), function=function, in_transaction=True)

    return mark


def sends(
    event: type[Said],
    *,
    reads: Callable[..., Sequence[object]] | None = None,
    delivered: Callable[..., None] | None = None,
    given_up: Callable[..., None] | None = None,
) -> Callable[[Callable[..., object]], Reaction]:
    """Mark `def f(event, *, delivery)` as a sender; it may raise `RetryLater`, `Refused`, `NotYet`.

    `reads(session, events, *, now)` returns what is known for each, in their order, which the
    sender is handed as `read`. It only reads, a moment before the tries; so many that begin
    together ask the database once. `delivered(session, tries, *, now)` is handed a list of
    `Delivered`, with what the sender returned. `given_up(session, event, *, reason, now)` runs
    when no try is left.
    """

    def mark(function: Callable[..., object]) -> Reaction:
        return Reaction(
            event=event,
            name=name_of(function),
            function=function,
            in_transaction=False,
            reads=reads,
            delivered=delivered,
            given_up=given_up,
        )

    return mark


def install_reactions(reactions: Iterable[Reaction]) -> None:
    """Make the reactions known to `say` and to the runner. Their names must differ."""
    _reactions.clear()
    names: set[str] = set()
    for reaction in reactions:
        if reaction.name in names:
            raise ValueError(f"two reactions are called {reaction.name}")
        names.add(reaction.name)
        _reactions[reaction.event] = (*_reactions.get(reaction.event, ()), reaction)


def reactions_to(event: type[Event]) -> tuple[Reaction, ...]:
    """The installed reactions to one kind of event, those to everything audited included."""
    to_all = _reactions.get(None, ()) if event.audited else ()
    return (*_reactions.get(event, ()), *to_all)


def installed_reactions() -> list[Reaction]:
    """Every installed reaction."""
    return [reaction for group in _reactions.values() for reaction in group]


def reaction_named(name: str) -> Reaction | None:
    """The installed reaction of that name; None after an upgrade removed it."""
    return next((r for r in installed_reactions() if r.name == name), None)


def event_kinds() -> dict[str, type[Event]]:
    """Every kind of event by its name. Two kinds of one name are a bug of assembly."""
    kinds: dict[str, type[Event]] = {}
    waiting = list(Event.__subclasses__())
    while waiting:
        kind = waiting.pop()
        waiting.extend(kind.__subclasses__())
        known = kinds.setdefault(kind.__name__, kind)
        if known.__module__ != kind.__module__:
            raise ValueError(f"two kinds of event are called {kind.__name__}")
    return kinds


def origin() -> Origin:
    """Who is behind what is being done now; empty for the server's own work."""
    return _origin.get()


def set_origin(value: Origin) -> None:
    """Name the one behind the current request, until its context ends."""
    _origin.set(value)


@contextmanager
def spoken_by(value: Origin) -> Iterator[None]:
    """Name the one behind everything said inside the block."""
    token = _origin.set(value)
    try:
        yield
    finally:
        _origin.reset(token)
