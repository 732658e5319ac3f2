"""On call: who is, what is said when that is changed, and how a channel is told in between."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from sqlalchemy.orm import Session
from typing_extensions import override

from mainstay_server.kernel.events import Audited, Event, Target
from mainstay_server.kernel.ports import port


@dataclass(frozen=True, kw_only=True)
class OnCallPerson:
    """Who is on call in one schedule, and until when; `person_id` is "" where nobody is."""

    schedule_id: str
    schedule: str
    person_id: str
    name: str
    until: datetime


@port
def who_is_on_call(
    session: Session, organization_id: str, *, at: datetime
) -> Sequence[OnCallPerson]:
    """Who is on call at a moment, one line for each schedule of an organization, by its name."""
    raise NotImplementedError


@port
def tell_channel(session: Session, alert_id: str, channel_id: str, *, now: datetime) -> bool:
    """Have one alert channel told of an alert, once more at each call.

    False when the organization of the alert has no such channel, the channel is off, or the alert
    is over. Who was told by it hears of the end. Whoever asks looks first whether the port is
    answered, and goes without it otherwise.
    """
    raise NotImplementedError


@port
def acknowledge_link(session: Session, alert_id: str, channel_id: str, *, at: datetime) -> str:
    """The URL by which whoever reads a message in a channel takes an alert in hand.

    `at` is when the message was decided on: the link lasts from then on. Empty when nobody waits
    for the alert to be taken.
    """
    raise NotImplementedError


@port
def acknowledge_all_link(
    session: Session, message_id: str, channel_id: str, *, at: datetime
) -> str:
    """The URL by which whoever reads a message of several alerts takes all of them in hand.

    `message_id` is what `alerts_told` knows the message by, and `at` is when it was decided on.
    Empty when nobody waits for any of them to be taken.
    """
    raise NotImplementedError


@port
def alerts_told(session: Session, message_id: str) -> Sequence[str]:
    """The ids of the alerts that one message to a channel tells of; at most 1,000.

    Those that are forgotten since are left out.
    """
    raise NotImplementedError


@port
def why_alert_is_held(session: Session, alert_id: str, *, now: datetime) -> str:
    """Why nobody is to be told of an active alert at present, such as a silence; else empty."""
    raise NotImplementedError


class AlertEscalated(Event, frozen=True, kw_only=True):
    """Something happened on the way of an alert through an escalation policy, in words."""

    organization_id: str
    project_id: str
    instance_id: str
    alert_id: str
    escalation_id: str
    text: str

    @property
    @override
    def subject(self) -> str:
        return self.alert_id


class OnCallScheduleEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one on-call schedule."""

    noun: ClassVar[str] = "on_call_schedule"
    schedule_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.schedule_id, self.name)


class OnCallScheduleCreated(OnCallScheduleEvent, frozen=True, kw_only=True):
    """Somebody made a schedule."""


class OnCallScheduleChanged(OnCallScheduleEvent, frozen=True, kw_only=True):
    """Somebody changed who takes turns in a schedule, or when."""


class OnCallScheduleRemoved(OnCallScheduleEvent, frozen=True, kw_only=True):
    """Somebody removed a schedule with its overrides and calendars."""


class OnCallOverrideEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one override of a schedule."""

    noun: ClassVar[str] = "on_call_override"
    override_id: str
    schedule: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.override_id, self.schedule)


class OnCallOverrideCreated(OnCallOverrideEvent, frozen=True, kw_only=True):
    """Somebody takes over for a while."""


class OnCallOverrideRemoved(OnCallOverrideEvent, frozen=True, kw_only=True):
    """Somebody does not take over after all."""


class OnCallCalendarEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one calendar that a schedule reads."""

    noun: ClassVar[str] = "on_call_calendar"
    calendar_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.calendar_id, self.name)


class OnCallCalendarAdded(OnCallCalendarEvent, frozen=True, kw_only=True):
    """Somebody had a schedule read a calendar."""


class OnCallCalendarRemoved(OnCallCalendarEvent, frozen=True, kw_only=True):
    """Somebody had a schedule read a calendar no more."""


class OnCallFeedMade(Audited, frozen=True, kw_only=True):
    """Somebody made a private address of shifts; one made before is of no use any more."""

    noun: ClassVar[str] = "on_call_feed"
    about: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.about, self.about)


class EscalationPolicyEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one escalation policy."""

    noun: ClassVar[str] = "escalation_policy"
    policy_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.policy_id, self.name)


class EscalationPolicyCreated(EscalationPolicyEvent, frozen=True, kw_only=True):
    """Somebody said what happens of alerts until they are acknowledged."""


class EscalationPolicyChanged(EscalationPolicyEvent, frozen=True, kw_only=True):
    """Somebody changed that, for alerts that open from now on."""


class EscalationPolicyRemoved(EscalationPolicyEvent, frozen=True, kw_only=True):
    """Somebody removed a policy; alerts that are being escalated go on."""


class EscalationAcknowledged(Audited, frozen=True, kw_only=True):
    """Somebody has taken an alert in hand, so nobody else is woken; `how` tells by which way."""

    noun: ClassVar[str] = "escalation"
    escalation_id: str
    title: str
    person: str
    how: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.escalation_id, self.title)
