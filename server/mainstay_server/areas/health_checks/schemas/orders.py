"""What a provider is told and what it answers."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr

from mainstay_server.areas.health_checks.models import HERE, HealthState
from mainstay_server.kernel import conditions
from mainstay_server.kernel.outbound import OutboundError, Timings
from mainstay_server.kernel.web.bodies import Body

LONGEST_HOST = 253
LONGEST_REASON = 300
_NOT_IN_HOSTS = re.compile(r"[\s/@?#\[\]%]|://")
_SYSTEM_WORDS = re.compile(r"\(([^)]+)\)")

Fact = str | int | float | bool | None


class ProviderConfig(Body):
    """What one kind of check is told. Each secret in it is a `Secret`: it is kept sealed."""


Secret = Annotated[SecretStr, Field(max_length=2_000)]


def checked_host(host: str) -> str:
    """A name or an address without anything around it; raises ValueError."""
    host = host.strip().strip("[]").rstrip(".").lower()
    if not host or len(host) > LONGEST_HOST or _NOT_IN_HOSTS.search(host):
        raise ValueError("must be a host name or an address alone, such as db.example.com")
    return host


Host = Annotated[str, AfterValidator(checked_host)]
Port = Annotated[int, Field(ge=1, le=65_535)]


@dataclass(frozen=True, kw_only=True)
class ProbeOrder:
    """One turn of one check, as claimed. `fence` tells later whether the claim still held.

    `config` is what the provider of the kind is told, with its secrets open; `host` is what limits
    on how many ask one host at once count by.
    """

    check_id: str
    instance_id: str
    kind: str
    url: str = ""
    target: str = ""
    host: str = ""
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    conditions: tuple[str, ...] = ()
    interval_seconds: int
    timeout_seconds: int
    degraded_after_ms: int
    state: HealthState
    at: datetime
    fence: int | None = None

    def speaks_of(self, name: str) -> bool:
        """Whether a condition is about this value: then it decides, and no rule of the kind."""
        return any(name in conditions.names_in(conditions.parse(text)) for text in self.conditions)

    def answered(
        self,
        timings: Timings,
        *,
        values: Mapping[str, object] | None = None,
        facts: Mapping[str, Fact] | None = None,
    ) -> "ProbeResult":
        """The result of something that answered, degraded when it took too long.

        What is wrong with the answer is said by `ProbeResult.worsened`.
        """
        slow = timings.total > self.degraded_after_ms
        took, limit = timings.total / 1000, self.degraded_after_ms / 1000
        return ProbeResult(
            state=HealthState.DEGRADED if slow else HealthState.HEALTHY,
            response_ms=timings.total,
            reason=f"answered in {took:.1f} s, slower than {limit:g} s" if slow else "",
            resolve_ms=timings.resolve,
            connect_ms=timings.connect,
            tls_ms=timings.tls,
            first_byte_ms=timings.first_byte,
            transfer_ms=timings.transfer,
            facts=facts or {},
            values={"CONNECTED": True, "RESPONSE_TIME": round(timings.total, 1)}
            | dict(values or {}),
        )

    def unanswered(self, error: OutboundError, *, began: float) -> "ProbeResult":
        """The result of something that did not answer; `began` is of the monotonic clock."""
        return ProbeResult(
            state=HealthState.UNHEALTHY,
            response_ms=(time.monotonic() - began) * 1000,
            reason=self._why_no_answer(error)[:LONGEST_REASON],
            conclusive=not error.own_limit,
            values={"CONNECTED": False},
        )

    def _why_no_answer(self, error: OutboundError) -> str:
        """The failure in the words people search for, without advice for developers of Mainstay."""
        if error.own_limit and error.kind != "timeout":
            return error.reason
        if error.own_limit:
            return "not asked: too many of our own connections to this host were busy"
        if error.kind == "timeout":
            return f"no answer within {self.timeout_seconds} s"
        if error.kind == "connect":
            words = _SYSTEM_WORDS.search(error.reason)
            return words.group(1).lower() if words else "connection refused"
        return error.reason.partition(";")[0].rstrip(".")


@dataclass(frozen=True, kw_only=True)
class Part:
    """One dependency that an app's own health document tells of."""

    name: str
    state: HealthState
    response_ms: float | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What one step of a check came to. `state` is healthy, unhealthy or skipped.

    One that `cleans_up` is in neither the time nor the timings of the whole.
    """

    name: str
    state: str
    response_ms: float = 0.0
    reason: str = ""
    failed: tuple[str, ...] = ()
    status_code: int = 0
    url: str = ""
    timings: Timings | None = None
    cleans_up: bool = False


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """What one try found. Times in milliseconds; `status_code` is 0 when nothing was answered.

    `reason` is empty when healthy. `conclusive` is false when the fault was our own (no free
    connection): that says nothing about the app. `facts` is what is worth keeping of it, such as
    `certificate_ends_at`; `values` is what conditions may speak of, and is kept nowhere. `failed`
    are the conditions that did not hold, resolved. `parts` are the lines of a health document,
    `steps` what each step of a check in steps came to, `console` and `screenshot` (JPEG) what a
    browser complained of and showed in the end. `hidden` are the secrets that were sent, which must
    be in nothing that is told or kept.
    """

    state: HealthState
    response_ms: float
    status_code: int = 0
    reason: str = ""
    resolve_ms: float = 0.0
    connect_ms: float = 0.0
    tls_ms: float = 0.0
    first_byte_ms: float = 0.0
    transfer_ms: float = 0.0
    conclusive: bool = True
    facts: Mapping[str, Fact] = field(default_factory=dict)
    failed: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    steps: tuple[StepResult, ...] = ()
    console: tuple[str, ...] = ()
    screenshot: bytes = field(default=b"", repr=False)
    values: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)
    hidden: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def with_values(self, values: Mapping[str, object]) -> "ProbeResult":
        """The result with more that conditions may speak of."""
        return replace(self, values={**self.values, **values})

    def with_fault(self, fault: str) -> "ProbeResult":
        """The result as unhealthy for that reason, if there is one."""
        return self.worsened(HealthState.UNHEALTHY, fault) if fault else self

    def worsened(self, state: HealthState, reason: str) -> "ProbeResult":
        """The result with something else that is wrong; the worse state and its reason win."""
        if _BADNESS[state] <= _BADNESS[self.state]:
            return self
        return replace(self, state=state, reason=reason[:LONGEST_REASON])


_BADNESS = {HealthState.HEALTHY: 0, HealthState.DEGRADED: 1, HealthState.UNHEALTHY: 2}


@dataclass(frozen=True, kw_only=True)
class Finished:
    """One turn that was asked, from the place `location`.

    `result` is None when it says nothing about the app; then `why_not` says what kept us from it.
    `uplink_down` tells that we reached nothing else either.
    """

    order: ProbeOrder
    at: datetime
    finished_at: datetime
    result: ProbeResult | None
    tries: int = 1
    location: str = HERE
    uplink_down: bool = False
    why_not: str = ""
