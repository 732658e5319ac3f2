"""The section of the policy, and the decision about one request: every limit that holds, as one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy.orm import Session

from mainstay_server.areas.rate_limits.models import By
from mainstay_server.areas.rate_limits.schemas import EVERYTHING, LIMIT_OF_A_KEY
from mainstay_server.kernel.guard import Passage, Patterns
from mainstay_server.kernel.limits import (
    Bucket,
    OnError,
    Rate,
    bucket_key,
    microseconds,
    take_async,
)
from mainstay_server.kernel.limits.headers import Named, limit_headers, refusal
from mainstay_server.kernel.networks import network_of
from mainstay_server.kernel.subjects import InstanceRef

from .policies import list_policies

MOST_ROUTES_REMEMBERED = 2_000
LONGEST_REMEMBERED = 500
RATE_LIMITED = "rate-limited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit of the section, ready to be decided by."""

    named: Named
    methods: frozenset[str]
    paths: Patterns
    plans: frozenset[str]
    by: str
    cost: int
    on_error: OnError
    simulate: bool

    def holds_for(self, method: str, path: str) -> bool:
        """Whether a request of that method and path is one of those that it counts."""
        if self.methods and method not in self.methods:
            return False
        return self.paths.match(path)


@dataclass(slots=True)
class Compiled:
    """The limits of one policy, and which of them hold for the routes that were met."""

    limits: tuple[Limit, ...]
    routes: dict[tuple[str, str], tuple[Limit, ...]] = field(default_factory=dict)

    def of_route(self, method: str, path: str) -> tuple[Limit, ...]:
        """The limits that hold for a method and path, in the order of the policy."""
        found = self.routes.get((method, path))
        if found is None:
            found = tuple(limit for limit in self.limits if limit.holds_for(method, path))
            if len(path) <= LONGEST_REMEMBERED:
                if len(self.routes) >= MOST_ROUTES_REMEMBERED:
                    self.routes.clear()
                self.routes[method, path] = found
        return found


def publish_section(session: Session, instance: InstanceRef, now: datetime) -> dict[str, Any]:  # noqa: ARG001 - every step is asked alike
    """The limits that are switched on. There always is a section: it holds for keys' limits too."""
    policies = list_policies(session, instance.id)
    return {"policies": [policy.to_wire() for policy in policies if policy.enabled]}


def compile_section(section: Mapping[str, Any]) -> Compiled:
    """Make of a section what decides fast."""
    return Compiled(limits=tuple(_limit(each) for each in section["policies"]))


async def decide(compiled: Compiled, passage: Passage) -> None:
    """Charge every limit that holds for the request, or refuse it and charge none.

    The API key's own limits are among them. Those that only simulate are charged one by one.

    Raises:
        QuotaExceeded: with the exact time to wait.
        Unavailable: a limit that denies cannot be counted.
    """
    request, facts = passage.request, passage.facts
    now_us = microseconds(request.at)
    named: list[Named] = []
    buckets: list[Bucket] = []
    for limit in compiled.of_route(request.method, request.path):
        whom = _whom(limit.by, passage)
        if whom is None or (limit.plans and facts.plan not in limit.plans):
            continue
        rate = limit.named.rate
        key = bucket_key(f"guard|{request.instance.id}|{limit.named.name}", rate, whom)
        bucket = Bucket(key, rate, limit.cost, limit.on_error)
        if limit.simulate:
            alone = await take_async((bucket,), cost=request.cost, now_us=now_us)
            if not alone.admitted:
                passage.simulated = RATE_LIMITED
            continue
        named.append(limit.named)
        buckets.append(bucket)
    _add_limits_of_the_key(passage, named, buckets)
    if not buckets:
        return
    verdict = await take_async(buckets, cost=request.cost, now_us=now_us)
    passage.headers.update(limit_headers(named, verdict))
    if not verdict.admitted:
        raise refusal(named, verdict)


def _add_limits_of_the_key(passage: Passage, named: list[Named], buckets: list[Bucket]) -> None:
    instance_id, key_id = passage.request.instance.id, passage.facts.key_id
    for limit in passage.facts.limits:
        own = _of_a_key(limit["quota"], limit["windowSeconds"], limit.get("burst", limit["quota"]))
        if own is None:
            continue
        on_error = OnError(limit.get("onBackendError", OnError.LOCAL))
        key = bucket_key(f"guard|{instance_id}|{LIMIT_OF_A_KEY}", own.rate, key_id)
        named.append(own)
        buckets.append(Bucket(key, own.rate, limit.get("cost", 1), on_error))


def _whom(by: str, passage: Passage) -> str | None:
    """Whom a limit counts, or None when it is the address and nobody knows that."""
    request, facts = passage.request, passage.facts
    if by == By.PERSON and request.person:
        return f"person:{request.person}"
    if by == By.INSTANCE:
        return "instance"
    if by == By.ADDRESS or not facts.key_id:
        network = network_of(request.address, request.ipv6_prefix_length)
        return f"address:{network}" if request.address else None
    if by == By.OWNER and facts.owner:
        return f"owner:{facts.owner}"
    if by == By.PLAN and facts.plan:
        return f"plan:{facts.plan}"
    return f"key:{facts.key_id}"


def _limit(section: Mapping[str, Any]) -> Limit:
    quota = section["quota"]
    return Limit(
        named=Named(
            section["name"], Rate(quota, section["windowSeconds"], section.get("burst", quota))
        ),
        methods=frozenset(section.get("methods", ())),
        paths=Patterns(section.get("paths") or [EVERYTHING]),
        plans=frozenset(section.get("plans", ())),
        by=section.get("by", By.CALLER),
        cost=section.get("cost", 1),
        on_error=OnError(section.get("onBackendError", OnError.LOCAL)),
        simulate=section.get("simulate", False),
    )


@lru_cache(maxsize=4096)
def _of_a_key(quota: int, window_seconds: int, burst: int) -> Named | None:
    """A key's own limit; None for one too fast or too long to be counted: it holds nobody back."""
    try:
        return Named(LIMIT_OF_A_KEY, Rate(quota, window_seconds, burst))
    except ValueError:
        return None
