"""Dress a response: what the guard adds and removes, prepared once for each policy."""

from collections.abc import Callable
from typing import Generic, TypeVar

from mainstay._internal.guard.answers import LIMIT_FIELDS, NONCE, limit_headers
from mainstay._internal.guard.passage import Passage
from mainstay._internal.guard.policy import Policy

# ASGI speaks in bytes, WSGI in text.
T = TypeVar("T", str, bytes)
Pairs = list[tuple[T, T]]

_MOST_ORIGINS = 1_000


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
        self._static: dict[str, Pairs[T]] = {}

    def response(self, passage: Passage, headers: Pairs[T], seconds: float) -> Pairs[T]:
        """Return the headers of the response, which began after so many seconds."""
        value = self._value
        added: Pairs[T] = [
            (self._trace, value(passage.trace_id)),
            (self._time, value(f"{seconds * 1000:.1f}")),
        ]
        if passage.standings and not passage.rules.simulates:
            told = limit_headers(passage.standings)
            added += zip(self._fields, map(value, told), strict=False)
        origin = passage.header("origin") if self._policy.cors is not None else ""
        added += self._static.get(origin) or self._look_up(origin)
        if self._has_nonce:
            nonce = value(passage.csp_nonce)
            added = [(name, said.replace(self._nonce, nonce)) for name, said in added]
        present: set[T] = {name.lower() for name, _ in headers}
        if self._watched.isdisjoint(present):
            return headers + added
        return self._kept(headers) + self._missing(added, present)

    def of_origin(self, origin: str, *, preflight: bool = False) -> Pairs[T]:
        """Return the headers of CORS for a request of this origin."""
        cors = self._policy.cors
        told = [] if cors is None else cors.headers(origin, preflight=preflight)
        return [(self._name(name), self._value(said)) for name, said in told]

    def _look_up(self, origin: str) -> Pairs[T]:
        """Return what depends on the policy and the origin alone."""
        static = self.of_origin(origin)
        static += [(self._name(name), self._value(said)) for name, said in self._policy.headers.set]
        if len(self._static) < _MOST_ORIGINS:
            self._static[origin] = static
        return static

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
