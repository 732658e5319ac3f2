"""Dress a response: what the guard adds and removes, prepared once for each policy."""

from collections.abc import Callable
from typing import Generic, TypeVar

from mainstay._internal.guard.answers import LIMIT_FIELDS, NONCE, limit_headers
from mainstay._internal.guard.passage import Passage
from mainstay._internal.guard.policy import Policy

# ASGI speaks in bytes, WSGI in text.
T = TypeVar("T", str, bytes)
Pairs = list[tuple[T, T]]

# No browser names an origin like this.
_STRANGER = "(any other)"


class Dress(Generic[T]):
    """Makes the headers of a response: the app's, less what is removed, and what is added.

    ``name`` writes a lower-case name and ``value`` a value as the protocol has them. What the
    app said itself is never said again.
    """

    def __init__(
        self, policy: Policy, *, name: Callable[[str], T], value: Callable[[str], T]
    ) -> None:
        self._name: Callable[[str], T] = name
        self._value: Callable[[str], T] = value
        self._policy = policy
        self._removed: frozenset[T] = frozenset(name(n).lower() for n in policy.headers.remove)
        self._trace: T = name("x-trace-id")
        self._time: T = name("x-response-time")
        self._fields: list[T] = [name(field) for field in LIMIT_FIELDS]
        self._nonce: T = value(NONCE)
        self._has_nonce = any(NONCE in said for _, said in policy.headers.set)
        names: list[T] = [self._trace, self._time, name("access-control-allow-origin")]
        names += self._fields
        names += [name(text) for text, _ in policy.headers.set]
        # A response that has none of these is dressed without a closer look.
        self._watched: frozenset[T] = self._removed.union(text.lower() for text in names)
        self._has_cors = policy.cors is not None
        origins = frozenset[str]() if policy.cors is None else policy.cors.origins
        self._by_origin: dict[T | None, Pairs[T]] = {value(o): self._said_to(o) for o in origins}
        self._by_origin[None] = self._said_to("")
        self._of_strangers: Pairs[T] = self._said_to(_STRANGER)

    def response(self, passage: Passage, headers: Pairs[T], seconds: float) -> Pairs[T]:
        """Return the headers of the response, which began after so many seconds."""
        value = self._value
        added: Pairs[T] = [
            (self._trace, value(passage.trace_id)),
            (self._time, value(f"{seconds * 1000:.1f}")),
        ]
        standings = passage.standings
        if standings and not passage.rules.simulates:
            told = limit_headers(standings)
            added += zip(self._fields, map(value, told))  # noqa: B905 - the last may be missing
        added += self._fixed(passage.raw.get(passage.ORIGIN) if self._has_cors else None)
        if self._has_nonce:
            nonce = value(passage.csp_nonce)
            added = [(name, said.replace(self._nonce, nonce)) for name, said in added]
        present: set[T] = {name.lower() for name, _ in headers}
        if self._watched.isdisjoint(present):
            return headers + added
        return self._kept(headers) + self._missing(added, present)

    def _fixed(self, origin: T | None) -> Pairs[T]:
        """Return what depends on the policy and the request's origin alone."""
        found: Pairs[T] = self._by_origin.get(origin or None, self._of_strangers)
        return found

    def _said_to(self, origin: str) -> Pairs[T]:
        cors = self._policy.cors
        said = [] if cors is None else cors.headers(origin)
        said += self._policy.headers.set
        return [(self._name(name), self._value(text)) for name, text in said]

    def _kept(self, headers: Pairs[T]) -> Pairs[T]:
        return [pair for pair in headers if pair[0].lower() not in self._removed]

    def _missing(self, added: Pairs[T], present: set[T]) -> Pairs[T]:
        """Return what the app did not say; of CORS it says all or nothing, and Vary adds up."""
        allows: T = self._name("access-control-")
        own_cors = any(name.startswith(allows.lower()) for name in present)
        vary: T = self._name("vary").lower()
        return [
            (name, said)
            for name, said in added
            if name.lower() == vary
            or not (name.lower() in present or (own_cors and name.startswith(allows)))
        ]


def _as_spelled(name: str) -> str:
    return "-".join([part.capitalize() for part in name.split("-")])


def for_asgi(policy: Policy) -> Dress[bytes]:
    """Return what dresses ASGI's responses."""
    return Dress(policy, name=str.encode, value=str.encode)


def for_wsgi(policy: Policy) -> Dress[str]:
    """Return what dresses WSGI's responses."""
    return Dress(policy, name=_as_spelled, value=str)
