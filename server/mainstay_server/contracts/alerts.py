"""What alerts say: something needs people, or does not any more."""

from typing_extensions import override

from mainstay_server.kernel.events import Event


class AlertChanged(Event, frozen=True, kw_only=True):
    """The base of what is said of one alert; type and severity are those of REQUIREMENTS P4."""

    organization_id: str
    project_id: str
    instance_id: str
    alert_id: str
    type: str
    severity: str
    title: str

    @property
    @override
    def subject(self) -> str:
        return self.alert_id


class AlertOpened(AlertChanged, frozen=True, kw_only=True):
    """A rule fired: people should know."""


class AlertResolved(AlertChanged, frozen=True, kw_only=True):
    """What the alert was about is over, by itself or by hand."""
