"""What health checks say: an instance stopped answering, answers slowly, or is well again."""

from datetime import datetime
from typing import ClassVar

from typing_extensions import override

from mainstay_server.kernel.events import Event


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


class HealthCheckConfigured(Event, frozen=True, kw_only=True):
    """Somebody created, changed, paused, resumed or removed a health check by hand."""

    audited: ClassVar[bool] = True
    organization_id: str
    project_id: str
    instance_id: str
    health_check_id: str
    change: str
    url: str

    @property
    @override
    def subject(self) -> str:
        return self.instance_id
