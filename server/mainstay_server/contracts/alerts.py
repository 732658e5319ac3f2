"""What alerts say: something needs people, or does not any more, and who is told changed."""

from datetime import datetime
from typing import ClassVar

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
    """A rule fired: people should know. `supersedes` is the alert whose place it took, if any."""

    message: str
    opened_at: datetime
    supersedes: str = ""


class AlertResolved(AlertChanged, frozen=True, kw_only=True):
    """What the alert was about is over, by itself or by hand.

    Superseded means that another alert took its place, such as a slow app that went down.
    """

    resolved_at: datetime
    superseded_by: str = ""
    quiet: bool = False


class AlertResolvedByHand(AlertChanged, frozen=True, kw_only=True):
    """A person, and not a rule, said that an alert is over."""

    audited: ClassVar[bool] = True


class AlertChannelChanged(Event, frozen=True, kw_only=True):
    """The base of what is said of one channel; `target` is masked where it holds a secret."""

    audited: ClassVar[bool] = True
    organization_id: str
    project_id: str
    channel_id: str
    type: str
    target: str

    @property
    @override
    def subject(self) -> str:
        return self.channel_id


class AlertChannelCreated(AlertChannelChanged, frozen=True, kw_only=True):
    """Somebody said who else is told of alerts; for one instance, or project-wide if it is ""."""

    instance_id: str


class AlertChannelUpdated(AlertChannelChanged, frozen=True, kw_only=True):
    """Somebody switched a channel on or off, or changed from which severity on it is told."""

    enabled: bool
    minimum_severity: str


class AlertChannelRemoved(AlertChannelChanged, frozen=True, kw_only=True):
    """Somebody removed a channel; it is told nothing more."""


class AlertChannelDisabled(AlertChannelChanged, frozen=True, kw_only=True):
    """A receiver said that it is gone for good, so the channel was switched off."""

    reason: str


class AlertRuleChanged(Event, frozen=True, kw_only=True):
    """Somebody changed when alerts of a type fire; project-wide if `instance_id` is ""."""

    audited: ClassVar[bool] = True
    organization_id: str
    project_id: str
    instance_id: str
    type: str
    enabled: bool
    severity: str
    threshold: float
    window_seconds: int
    minimum_count: int
