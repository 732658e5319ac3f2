"""What alerts say: something needs people, or does not any more, and who is told changed."""

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
    """A channel as others may see it: what it is, and its target without secrets."""

    id: str
    kind: str
    name: str


@port
def alert_channels(session: Session, instance_id: str) -> Sequence[AlertChannelSeen]:
    """The channels that hear of an instance's alerts, those of its project too; at most 40."""
    raise NotImplementedError


@port
def channels_of_organization(session: Session, organization_id: str) -> Sequence[AlertChannelSeen]:
    """The channels of all projects that are on, by the names of both; at most 400."""
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


class MeasureRuleEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of a rule over a measure; project-wide if `instance_id` is ""."""

    noun: ClassVar[str] = "measure_rule"
    project_id: str
    instance_id: str
    rule_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.rule_id, self.name)


class MeasureRuleCreated(MeasureRuleEvent, frozen=True, kw_only=True):
    """Somebody wrote a rule over a measure."""


class MeasureRuleChanged(MeasureRuleEvent, frozen=True, kw_only=True):
    """Somebody changed a rule over a measure, or a default for a project."""


class MeasureRuleRemoved(MeasureRuleEvent, frozen=True, kw_only=True):
    """Somebody removed a rule over a measure, or took a default as it ships again."""


class EventRuleEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of a rule over what people administer."""

    noun: ClassVar[str] = "event_rule"
    project_id: str
    rule_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.rule_id, self.name)


class EventRuleCreated(EventRuleEvent, frozen=True, kw_only=True):
    """Somebody wrote which audited actions are an alert."""


class EventRuleChanged(EventRuleEvent, frozen=True, kw_only=True):
    """Somebody changed which audited actions are an alert."""


class EventRuleRemoved(EventRuleEvent, frozen=True, kw_only=True):
    """Somebody removed a rule over what people administer."""


class RunbookEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of a runbook of a project."""

    noun: ClassVar[str] = "runbook"
    project_id: str
    runbook_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.runbook_id, self.name)


class RunbookCreated(RunbookEvent, frozen=True, kw_only=True):
    """Somebody wrote down what to do when an alert fires."""


class RunbookChanged(RunbookEvent, frozen=True, kw_only=True):
    """Somebody changed what to do when an alert fires."""


class RunbookRemoved(RunbookEvent, frozen=True, kw_only=True):
    """Somebody removed a runbook."""


class AlertRuleChanged(Audited, frozen=True, kw_only=True):
    """Somebody changed when alerts of a type fire; project-wide if `instance_id` is ""."""

    noun: ClassVar[str] = "alert_rule"
    project_id: str
    instance_id: str
    type: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.type, self.type)


class AlertSilenceEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one silence; `matchers` tells in words which alerts it holds.

    `project_id` is "" for one that reaches the whole organization.
    """

    noun: ClassVar[str] = "alert_silence"
    silence_id: str
    matchers: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.silence_id, self.matchers)


class AlertSilenceCreated(AlertSilenceEvent, frozen=True, kw_only=True):
    """Somebody said which alerts are told to nobody for a while."""


class AlertSilenceChanged(AlertSilenceEvent, frozen=True, kw_only=True):
    """Somebody moved the end of a silence, or said otherwise why it is."""


class AlertSilenceExpired(AlertSilenceEvent, frozen=True, kw_only=True):
    """Somebody ended a silence before its time."""


class AlertMuted(AlertByHand, frozen=True, kw_only=True):
    """A person said that nobody is to be told of an alert for a while, or is to be again."""


class AlertRouteEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one route, or of one rule of what mutes what."""

    noun: ClassVar[str] = "alert_route"
    project_id: str
    setting_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.setting_id, self.name)


class AlertRouteCreated(AlertRouteEvent, frozen=True, kw_only=True):
    """Somebody said which alerts go to which channels."""


class AlertRouteChanged(AlertRouteEvent, frozen=True, kw_only=True):
    """Somebody changed which alerts go where and how they are gathered, or muted a route."""


class AlertRouteRemoved(AlertRouteEvent, frozen=True, kw_only=True):
    """Somebody removed a route; channels that no route names any more hear all again."""


class AlertInhibitionEvent(AlertRouteEvent, frozen=True, kw_only=True):
    """The base of what is said of one rule of inhibition."""

    noun: ClassVar[str] = "alert_inhibition"


class AlertInhibitionCreated(AlertInhibitionEvent, frozen=True, kw_only=True):
    """Somebody said which alerts are not told while a graver one is active."""


class AlertInhibitionChanged(AlertInhibitionEvent, frozen=True, kw_only=True):
    """Somebody changed which alerts mute which."""


class AlertInhibitionRemoved(AlertInhibitionEvent, frozen=True, kw_only=True):
    """Somebody removed a rule of inhibition."""
