"""Marks on endpoints: limits, scopes and costs of a single route, and who is asking."""

import asyncio
import functools
import inspect
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from mainstay._internal.guard.base import enforced, now_us, refusal_of
from mainstay._internal.guard.frameworks import refused_in
from mainstay._internal.guard.limiter import refunds
from mainstay._internal.guard.limits import Charge, Decision, Limit, spoken_limit
from mainstay._internal.guard.passage import Passage, current_request
from mainstay._internal.guard.refusals import (
    GUARD_FAILED,
    KEY_MISSING,
    Refusal,
    Refused,
    insufficient_scope,
)
from mainstay._internal.shield import SHIELD, logger

_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])
_Steps = Generator[list[Charge], Decision, Refusal | None]

_ROUTE = "route:"
_said: set[str] = set()


def limit(
    spoken: str, *, by: str = "caller", cost: int = 1, name: str | None = None
) -> Callable[[_Endpoint], _Endpoint]:
    """Limit a route: ``@mainstay.limit("5/hour")``, directly above the function.

    Beside the policy's limits, which are charged before the app is asked. ``by`` is whom to
    count: ``caller`` (the API key, or else the address), ``key``, ``address``, ``owner``,
    ``plan``, ``instance`` or ``person`` (whom ``identify`` named). ``name`` is what clients are
    told, the function's name when not given. A refusal gives back what the policy's limits
    took. Raises ValueError for a limit that cannot be read.
    """

    def mark(endpoint: _Endpoint) -> _Endpoint:
        place = f"{_ROUTE}{endpoint.__module__}.{endpoint.__qualname__}"
        rule = spoken_limit(spoken, key=place, name=name or endpoint.__name__, by=by, cost=cost)
        return _marked(endpoint, _Limited(rule))

    return mark


def cost(amount: int) -> Callable[[_Endpoint], _Endpoint]:
    """Have a request to this route count for several: ``@mainstay.cost(3)``.

    Holds for the policy's limits, the key's and the quota. Raises ValueError below 1.
    """
    if amount < 1:
        raise ValueError("a request costs 1 or more")
    return lambda endpoint: _marked(endpoint, _Costly(amount))


def scopes(*wanted: str) -> Callable[[_Endpoint], _Endpoint]:
    """Ask for an API key with scopes: ``@mainstay.scopes("insight:write")``.

    Without a guard around the app nobody knows of any key, and the route refuses everybody.
    """
    return lambda endpoint: _marked(endpoint, _Scoped(wanted))


def identify(person: object) -> None:
    """Say who is asking, for limits by person; call it as soon as the app knows.

    Until then such a limit counted the caller; now it counts the person instead. Raises the
    refusal when the person's limit is used up. In a coroutine of an app whose limits are in
    Redis use ``await mainstay.aidentify(person)``; this one would decide by this process alone
    rather than hold up the event loop.
    """
    passage = current_request()
    if passage is not None:
        _enforce(passage, _Named(person))


async def aidentify(person: object) -> None:
    """Do what ``identify`` does, in a coroutine."""
    passage = current_request()
    if passage is not None:
        await _enforce_async(passage, _Named(person))


class _Mark(Protocol):
    """What is asked of a request before its endpoint runs."""

    def ask(self, passage: Passage) -> _Steps:
        """Yield charges to be decided, get the decision, and return the refusal, if any."""

    def without_guard(self, endpoint: str) -> None:
        """Say what holds where no guard is around the app."""


class _Limited(NamedTuple):
    """One more limit."""

    limit: Limit

    def ask(self, passage: Passage) -> _Steps:
        charges = [passage.charge(self.limit, 1)]
        return refusal_of(passage, charges, (yield charges))

    def without_guard(self, endpoint: str) -> None:
        _say_once(f"The limit of {endpoint} does not hold: no mainstay.Guard is around the app.")


class _Costly(NamedTuple):
    """More to pay than the one that the door took."""

    amount: int

    def ask(self, passage: Passage) -> _Steps:
        more = self.amount - passage.cost
        if more <= 0:
            return None
        limits = {charge.bucket: charge for charge in passage.charges if _is_of_door(charge)}
        charges = [
            replace(charge, amount_us=charge.limit.unit_us * more) for charge in limits.values()
        ]
        if charges:
            refusal = refusal_of(passage, charges, (yield charges))
            if refusal is not None:
                return refusal
        refusal = passage.rules.spend_quota(passage, more)
        if refusal is None:
            passage.cost = self.amount
        else:  # all of the cost or nothing: what the door took goes back
            passage.rules.spend_quota(passage, -passage.cost)
        return refusal

    def without_guard(self, endpoint: str) -> None:
        _say_once(f"The cost of {endpoint} does not hold: no mainstay.Guard is around the app.")


class _Scoped(NamedTuple):
    """Scopes that the key must have."""

    wanted: tuple[str, ...]

    def ask(self, passage: Passage) -> _Steps:
        yield from ()
        if passage.key is None:
            return KEY_MISSING
        return None if passage.scopes.issuperset(self.wanted) else insufficient_scope(self.wanted)

    def without_guard(self, endpoint: str) -> None:
        _say_once(f"{endpoint} refuses everybody: no mainstay.Guard is around the app.")
        raise Refused(KEY_MISSING)


class _Named(NamedTuple):
    """The person whom a caller turned out to be, and whose bucket counts instead."""

    person: object

    def ask(self, passage: Passage) -> _Steps:
        passage.name_person(self.person)
        before = [charge for charge in passage.charges if charge.limit.by == "person"]
        now = [replace(charge, bucket=passage.bucket_of(charge.limit)) for charge in before]
        if now == before:
            return None
        refusal = refusal_of(passage, now, (yield now))
        if refusal is None:
            passage.charges = [charge for charge in passage.charges if charge not in before]
            yield refunds(before)
        return refusal

    def without_guard(self, endpoint: str) -> None:
        """Nobody is to be told."""


def _marked(endpoint: _Endpoint, mark: _Mark) -> _Endpoint:
    """Return the endpoint with the mark asked before it."""
    if inspect.iscoroutinefunction(endpoint):

        @functools.wraps(endpoint)
        async def asked_async(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the endpoint's
            passage = current_request()
            if passage is None:
                mark.without_guard(endpoint.__qualname__)
            else:
                await _enforce_async(passage, mark)
            return await endpoint(*args, **kwargs)

        return cast("_Endpoint", asked_async)

    @functools.wraps(endpoint)
    def asked(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the endpoint's
        passage = current_request()
        if passage is None:
            mark.without_guard(endpoint.__qualname__)
        else:
            _enforce(passage, mark)
        return endpoint(*args, **kwargs)

    return cast("_Endpoint", asked)


def _enforce(passage: Passage, mark: _Mark) -> None:
    """Ask the mark; raise the refusal. Should our own code fail, nothing passes unexamined."""
    refusal: Refusal | None = GUARD_FAILED
    with SHIELD:
        limiter = passage.limiter
        # Redis would hold up the event loop, so this process decides alone there.
        alone = limiter.shared is not None and _is_in_event_loop()
        decide = limiter.buckets.decide if alone else limiter.decide
        steps, decision = _asked(passage, mark), None
        while True:
            try:
                charges = steps.send(decision) if decision else next(steps)
            except StopIteration as end:
                refusal = end.value
                break
            decision = decide(charges, now_us(passage))
    if refusal is not None and enforced(passage, refusal):
        raise refused_in(passage, refusal)


async def _enforce_async(passage: Passage, mark: _Mark) -> None:
    """Do what ``_enforce`` does, in a coroutine."""
    refusal: Refusal | None = GUARD_FAILED
    with SHIELD:
        steps, decision = _asked(passage, mark), None
        while True:
            try:
                charges = steps.send(decision) if decision else next(steps)
            except StopIteration as end:
                refusal = end.value
                break
            decision = await passage.limiter.decide_async(charges, now_us(passage))
    if refusal is not None and enforced(passage, refusal):
        raise refused_in(passage, refusal)


def _asked(passage: Passage, mark: _Mark) -> _Steps:
    """Ask the mark; a refusal gives back all that was charged for this request."""
    passage.is_marked = True
    refusal = yield from mark.ask(passage)
    if refusal is not None:
        charged, passage.charges = passage.charges, []
        back = refunds(charged)
        if back:
            yield back
    return refusal


def _is_of_door(charge: Charge) -> bool:
    return not charge.limit.key.startswith(_ROUTE)


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _say_once(message: str) -> None:
    if message not in _said:
        _said.add(message)
        logger.warning("%s", message)
