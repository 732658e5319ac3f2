"""A guard step: an area's section of the policy, and the area's say about one request."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from mainstay_server.kernel.subjects import InstanceRef

Section = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardedRequest:
    """A request to a guarded API that asks to pass. `address` is the true client's.

    `credential` is the API key as it was presented, "" when none was; it must never be stored.
    `scopes` are needed beside those that the policy asks for; `cost` is what it is charged. With
    `key_required` a key is asked for on every path that the policy does not call public. Without
    an address, what is decided by the address is not decided; what counts addresses counts IPv6
    by networks of `ipv6_prefix_length` bits.
    """

    instance: InstanceRef
    method: str
    path: str
    address: str
    credential: str
    at: datetime
    scopes: tuple[str, ...] = ()
    person: str = ""
    cost: int = 1
    key_required: bool = False
    ipv6_prefix_length: int = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What a verified API key says of its bearer; the empty one is for requests without a key."""

    key_id: str = ""
    owner: str = ""
    plan: str = ""
    scopes: tuple[str, ...] = ()
    limits: tuple[Mapping[str, Any], ...] = ()


NO_KEY = Facts()


@dataclass(kw_only=True, slots=True)
class Passage:
    """A request on its way through the steps. `headers` go with the answer, whatever it is.

    `simulated` is the code of a refusal by what only simulates, "" when there was none.
    """

    request: GuardedRequest
    facts: Facts = NO_KEY
    headers: dict[str, str] = field(default_factory=dict)
    simulated: str = ""


@dataclass(frozen=True, kw_only=True)
class GuardStep:
    """One section of the policy and its decision; steps run in the order of `order`.

    `publish(session, instance, now)` is the section as `wire/guard` describes it, or None when it
    guards nothing. `compile(section)` makes of it, once per version, what `decide` reads fast.
    `decide(compiled, passage)` raises the `Problem` that refuses the request; it may only use
    memory and the shared store, since it runs on the event loop for every request. An area says
    `touch_policies` whenever its section changes.
    """

    section: str
    order: int
    publish: Callable[[Session, InstanceRef, datetime], Section | None] = field(repr=False)
    compile: Callable[[Section], Any] = field(repr=False)
    decide: Callable[[Any, Passage], Coroutine[Any, Any, None]] = field(repr=False)
