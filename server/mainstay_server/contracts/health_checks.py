"""What health checks say: an instance stopped answering, answers slowly, or is well again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import msgspec
from sqlalchemy.orm import Session
from typing_extensions import override

from mainstay_server.kernel.events import Audited, Event, Target, Value
from mainstay_server.kernel.ports import port
from mainstay_server.kernel.subjects import Watched


class HealthChanged(Event, frozen=True, kw_only=True):
    """The base of what is said of how a health check is; said once per change, in order.

    `name` is empty for an instance's own check: it stands for the instance. `unreachable` is how
    many checks depend on it and are muted while it is down; up to ten of them are named.
    """

    organization_id: str
    project_id: str
    instance_id: str
    health_check_id: str
    name: str
    url: str
    since: datetime
    reason: str
    unreachable: int = 0
    unreachable_names: list[str] = msgspec.field(default_factory=list)

    @property
    @override
    def subject(self) -> str:
        return self.health_check_id


class HealthCheckWentDown(HealthChanged, frozen=True, kw_only=True):
    """What it asks is unhealthy: it did not answer, or answered that it is not well."""


class HealthCheckDegraded(HealthChanged, frozen=True, kw_only=True):
    """What it asks answers, but slower than allowed, or says itself that it is degraded."""


class HealthCheckRecovered(HealthChanged, frozen=True, kw_only=True):
    """What it asks is healthy again after having been in trouble since `troubled_since`."""

    troubled_since: datetime


class HealthCheckStopped(HealthChanged, frozen=True, kw_only=True):
    """Nobody looks any more (paused, removed, no URL) at what was down or degraded when last seen.

    What was opened because of it can be closed: nothing would ever say that it recovered. If it
    is still in trouble when looked at again, that is said anew.
    """


class HealthCheckFlapping(HealthChanged, frozen=True, kw_only=True):
    """What it asks goes back and forth so often that each change is not said any more.

    `state` is the trouble that it comes back to: degraded or unhealthy.
    """

    state: str


class HealthCheckSettled(HealthChanged, frozen=True, kw_only=True):
    """What flapped has stayed as it is for an hour: `state` is healthy, degraded or unhealthy.

    `troubled_since` is when the trouble began that has ended; None while it has not.
    """

    state: str
    troubled_since: datetime | None


class ExpiryMoved(Event, frozen=True, kw_only=True):
    """A certificate or a domain has come within `days` of its end; said once per threshold.

    `what` is certificate or domain. Without `days` the matter is settled: it was renewed, or
    nobody looks any more, as `reason` says; that is said once, and only after a warning.
    """

    organization_id: str
    project_id: str
    instance_id: str
    health_check_id: str
    name: str
    target: str
    what: str
    ends_at: datetime
    days: int | None
    reason: str = ""

    @property
    @override
    def subject(self) -> str:
        return self.health_check_id


class HealthCheckEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said when somebody administers a health check by hand."""

    noun: ClassVar[str] = "health_check"
    project_id: str
    instance_id: str
    health_check_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.health_check_id, self.name)


class HealthCheckCreated(HealthCheckEvent, frozen=True, kw_only=True):
    """Somebody made a further health check of an instance."""


class HealthCheckChanged(HealthCheckEvent, frozen=True, kw_only=True):
    """Somebody changed how a health check asks, or paused or resumed it."""


class HealthCheckCorrected(HealthCheckEvent, frozen=True, kw_only=True):
    """Somebody said what a past range of a health check really was, and why."""

    state: str
    since: datetime
    until: datetime
    reason: str

    @property
    @override
    def details(self) -> Mapping[str, Value]:
        return {
            "state": self.state,
            "from": self.since.isoformat(),
            "to": self.until.isoformat(),
            "reason": self.reason,
        }


class HealthCheckRemoved(HealthCheckEvent, frozen=True, kw_only=True):
    """Somebody removed a health check with its history."""


@port
def response_times(
    checks: Sequence[Watched], *, since: datetime, until: datetime, step_seconds: int
) -> Mapping[str, Mapping[datetime, float]]:
    """Mean response times in milliseconds of what was answered, per health check and step.

    Steps are whole multiples of `step_seconds` since the epoch and named by their start; one in
    which nothing was answered is not there.
    """
    raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class ProbeSeen:
    """A probe as others may see it: whose it is, what it is called, and where it runs."""

    id: str
    organization_id: str
    name: str
    location: str


@port
def probe_behind(session: Session, authorization: str) -> ProbeSeen:
    """The probe whose token an `Authorization` header holds. Raises `Unauthenticated`."""
    raise NotImplementedError


@port
def probes_of(session: Session, organization_id: str) -> Sequence[ProbeSeen]:
    """The probes of an organization by location; at most 50."""
    raise NotImplementedError


class HealthProbeEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said when somebody administers a probe that runs elsewhere."""

    noun: ClassVar[str] = "health_probe"
    probe_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.probe_id, self.name)


class HealthProbeCreated(HealthProbeEvent, frozen=True, kw_only=True):
    """Somebody made a probe, with a credential of its own."""


class HealthProbeRemoved(HealthProbeEvent, frozen=True, kw_only=True):
    """Somebody removed a probe: it is refused from then on."""


class ProbeChanged(Event, frozen=True, kw_only=True):
    """The base of what is said of a probe that runs elsewhere, in each project that it serves.

    `instance_id` is one of the instances whose checks it asks, `checks` how many of the project's.
    """

    organization_id: str
    project_id: str
    instance_id: str
    probe_id: str
    name: str
    location: str
    checks: int
    since: datetime

    @property
    @override
    def subject(self) -> str:
        return self.probe_id


class ProbeWentSilent(ProbeChanged, frozen=True, kw_only=True):
    """A probe was not heard of since `since`: what only it knew is unknown, and no app is down."""


class ProbeReturned(ProbeChanged, frozen=True, kw_only=True):
    """A probe that was missed is heard of again, or is gone for good: nobody need look for it."""
