"""What alerts say and answer: something needs people, or does not any more, and who is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import msgspec
from sqlalchemy.orm import Session
from typing_extensions import override

from mainstay_server.kernel.events import Audited, Event, Target, Value
from mainstay_server.kernel.ports import port


@dataclass(frozen=True, kw_only=True)
class AlertChannelSeen:
    """A channel as others may see it: what it is, and its target without secrets.

    `place` is another word whenever it leads elsewhere; nothing of the target can be read from it.
    """

    id: str
    kind: str
    name: str
    place: str = ""


@port
def alert_channels(session: Session, instance_id: str) -> Sequence[AlertChannelSeen]:
    """The channels that hear of an instance's alerts, those of its project too; at most 40."""
    raise NotImplementedError


@port
def channels_of_organization(session: Session, organization_id: str) -> Sequence[AlertChannelSeen]:
    """The channels of all projects that are on, by the names of both; at most 1,000."""
    raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class AlertSummary:
    """One alert as a report tells of it; `resolved_at` is None while it is active."""

    project_name: str
    environment: str
    severity: str
    title: str
    opened_at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class AlertsOver:
    """The alerts of a span of time: how many began and ended in it, and the gravest of them."""

    opened: int
    resolved: int
    active: int
    gravest: Sequence[AlertSummary]


@port
def alerts_over(
    session: Session, organization_id: str, *, since: datetime, until: datetime, limit: int
) -> AlertsOver:
    """What became of an organization's alerts from `since` to before `until`.

    `active` counts all that were active at its end; `gravest` are those that began in it.
    """
    raise NotImplementedError


@port
def acknowledge_alert(
    session: Session, alert_id: str, *, by: str, name: str, now: datetime
) -> bool:
    """Take an active alert in hand for a person; False when it is over or was taken before."""
    raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class AlertSeen:
    """An alert as others may see it; `ended_at` is None while it is active."""

    id: str
    project_id: str
    instance_id: str
    type: str
    severity: str
    title: str
    labels: Mapping[str, str]
    opened_at: datetime
    acknowledged_at: datetime | None
    ended_at: datetime | None


@port
def find_alert(session: Session, alert_id: str) -> AlertSeen | None:
    """One alert as it is now, or None; who asks for somebody looks at whose `project_id` it is."""
    raise NotImplementedError


@port
def recent_alerts(
    session: Session, project_id: str, *, since: datetime, limit: int
) -> Sequence[AlertSeen]:
    """A project's alerts that are active or were opened since, the newest first."""
    raise NotImplementedError


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
    labels: dict[str, str] = msgspec.field(default_factory=dict)


class AlertResolved(AlertChanged, frozen=True, kw_only=True):
    """What the alert was about is over, or another took its place, as when a slow app goes down."""

    resolved_at: datetime
    superseded_by: str = ""
    quiet: bool = False


class AlertByHand(Audited, frozen=True, kw_only=True):
    """The base of what a person, and not a rule, did with an alert."""

    noun: ClassVar[str] = "alert"
    project_id: str
    instance_id: str
    alert_id: str
    type: str
    severity: str
    title: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.alert_id, self.title)


class AlertOpenedByHand(AlertByHand, frozen=True, kw_only=True):
    """A person, and not a rule, said that something needs people."""


class AlertResolvedByHand(AlertByHand, frozen=True, kw_only=True):
    """A person, and not a rule, said that an alert is over."""


class AlertAcknowledged(AlertByHand, frozen=True, kw_only=True):
    """A person has taken an alert in hand; `by` is their id, `name` what people call them."""

    by: str
    name: str


class AlertMuted(AlertByHand, frozen=True, kw_only=True):
    """A person said that nobody is to be told of an alert for a while, or is to be again."""


class AlertNotificationResent(Audited, frozen=True, kw_only=True):
    """Somebody had a notification sent again that had been given up."""

    noun: ClassVar[str] = "alert_notification"
    project_id: str
    notification_id: str
    channel: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.notification_id, self.channel)


class AlertChannelEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one channel; `shown` is its target, `instance_id` may be ""."""

    noun: ClassVar[str] = "alert_channel"
    project_id: str
    channel_id: str
    type: str
    shown: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.channel_id, f"{self.type} {self.shown}")


class AlertChannelCreated(AlertChannelEvent, frozen=True, kw_only=True):
    """Somebody said who else is told of alerts."""


class AlertChannelChanged(AlertChannelEvent, frozen=True, kw_only=True):
    """Somebody switched a channel on or off, or changed from which severity on it is told."""


class AlertChannelSecretRotated(AlertChannelEvent, frozen=True, kw_only=True):
    """Somebody gave a webhook another secret; the one before signs too for a day."""


class AlertChannelTested(AlertChannelEvent, frozen=True, kw_only=True):
    """Somebody had a test sent through a channel."""


class AlertChannelRemoved(AlertChannelEvent, frozen=True, kw_only=True):
    """Somebody removed a channel; it is told nothing more."""


class AlertChannelDisabled(AlertChannelEvent, frozen=True, kw_only=True):
    """A receiver said that it is gone for good, so the channel was switched off."""

    reason: str

    @property
    @override
    def details(self) -> Mapping[str, Value]:
        return {"reason": self.reason}
