"""What health checks say: an instance stopped answering, answers slowly, or is well again."""

from datetime import datetime
from typing import ClassVar

from typing_extensions import override

from mainstay_server.kernel.events import Audited, Event, Target


class HealthChanged(Event, frozen=True, kw_only=True):
    """The base of what is said of one instance's health; said once per change, in order."""

    organization_id: str
    project_id: str
    instance_id: str
    health_check_id: str
    url: str
    since: datetime
    reason: str

    @property
    @override
    def subject(self) -> str:
        return self.instance_id


class HealthCheckWentDown(HealthChanged, frozen=True, kw_only=True):
    """The instance is unhealthy: it did not answer, or answered that it is not well."""


class HealthCheckDegraded(HealthChanged, frozen=True, kw_only=True):
    """The instance answers, but slower than its threshold or says itself that it is degraded."""


class HealthCheckRecovered(HealthChanged, frozen=True, kw_only=True):
    """The instance is healthy again after having been down or degraded since `troubled_since`."""

    troubled_since: datetime


class HealthCheckStopped(HealthChanged, frozen=True, kw_only=True):
    """Nobody looks any more (paused, removed, no URL) at what was down or degraded when last seen.

    What was opened because of it can be closed: nothing would ever say that it recovered. If it
    is still in trouble when looked at again, that is said anew.
    """


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


class HealthCheckRemoved(HealthCheckEvent, frozen=True, kw_only=True):
    """Somebody removed a health check with its history."""
