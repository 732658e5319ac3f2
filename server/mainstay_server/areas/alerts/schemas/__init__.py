"""Shapes of telling: what is due, and what a provider is told. Those of the API stand beside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from typing_extensions import override

from mainstay_server.areas.alerts.models import Change
from mainstay_server.contracts.alerts.severities import colour_of
from mainstay_server.contracts.email import MailBrand
from mainstay_server.kernel.events import Event

MOST_ACKNOWLEDGED = 5


class AlertNotificationDue(Event, frozen=True, kw_only=True):
    """One notification has to leave; what is about the same thing leaves one after the other.

    `thread` groups what may not overtake: all of one instance's health, or one alert identity. A
    message that a receiver cannot digest holds up its own thread only.
    """

    notification_id: str
    channel_id: str
    thread: str

    @property
    @override
    def subject(self) -> str:
        return f"{self.channel_id}:{self.thread}"


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """One of several alerts that a single message tells of."""

    alert_id: str
    type: str
    severity: str
    title: str
    message: str
    environment: str
    opened_at: datetime
    resolved_at: datetime | None
    resolution: str
    acknowledge_url: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ConfigField:
    """One field of a channel's config: what it is called, and how its form draws it.

    The value of a `secret` one is shown to nobody. One with `choices` (value, words) is one of
    them, and left out means the first.
    """

    name: str
    label: str
    placeholder: str = ""
    hint: str = ""
    required: bool = True
    secret: bool = False
    choices: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, kw_only=True)
class Notice:
    """What a channel is to say, with everything that it may want to show.

    It tells the alert as it was at the change, so every try of one notification says the same.

    A digest tells of several: `gathered` names the first of them, `gathered_count` counts them all,
    title and message say it in words, and the rest is that of the first one. `repeat` counts how
    often an alert that lasts was told of before.
    """

    change: Change
    at: datetime
    alert_id: str
    type: str
    severity: str
    title: str
    message: str
    resolution: str
    opened_at: datetime
    resolved_at: datetime | None
    supersedes: str
    instance_id: str
    environment: str
    instance_url: str
    project_slug: str
    project_name: str
    url: str
    gathered: tuple[Gathered, ...] = ()
    gathered_count: int = 0
    repeat: int = 0
    # What the receiver called the message of the beginning, for those who put the end beneath it.
    reply_to: str = ""
    # Where it says what to do, while the alert lasts.
    runbook_url: str = ""
    # Where its reader takes the alert in hand without signing in; of a digest all of its alerts.
    acknowledge_url: str = ""
    # The channel that should have told it and could not.
    instead_of: str = ""
    # How mails of its organization look; None for who sends none.
    brand: MailBrand | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        """One line for a subject or a chat: `[critical] inspections production is down`."""
        word = f"{self.tone}, still" if self.repeat else self.tone
        return f"[{word}] {self.title}"

    @property
    def tone(self) -> str:
        """What colours it: the severity while it lasts, else `resolved` or `test`."""
        return self.severity if self.change is Change.OPENED else self.change.value

    @property
    def colour(self) -> str:
        """The colour of its tone, as `#rrggbb`."""
        return colour_of(self.tone)

    @property
    def said(self) -> str:
        """What there is to say beneath the title: how it ended, then what it is about."""
        ended = self.resolution if self.change is Change.RESOLVED else ""
        return "\n".join(part for part in (ended, self.message, self.why_here) if part)

    @property
    def why_here(self) -> str:
        """One sentence for who gets it in another channel's stead; usually empty."""
        return f"Sent here because {self.instead_of} could not be told." if self.instead_of else ""

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Name and value of what people want to know of every alert."""
        words = {Change.RESOLVED: ("Status", "Resolved"), Change.TEST: ("Status", "Test")}
        facts = [
            words.get(self.change, ("Severity", self.severity.capitalize())),
            ("Project", self.project_name),
            ("Environment", self.environment),
            ("Since", _moment(self.opened_at)),
        ]
        if self.change is Change.RESOLVED and self.resolved_at:
            facts.append(("Over since", _moment(self.resolved_at)))
        return facts

    @property
    def links(self) -> list[tuple[str, str]]:
        """Words and URL of what to do; of a digest the first few are taken in hand by number."""
        each = [
            (f"Acknowledge {number}", one.acknowledge_url)
            for number, one in enumerate(self.gathered[:MOST_ACKNOWLEDGED], start=1)
            if one.acknowledge_url
        ]
        return [*self._taking, *each, *self._looking]

    @property
    def ways(self) -> list[tuple[str, str]]:
        """Words and URL of what to do with all of it: take it in hand, look here, or at the app."""
        return [*self._taking, *self._looking]

    @property
    def _taking(self) -> list[tuple[str, str]]:
        words = "Acknowledge all" if self.gathered else "Acknowledge"
        return [(words, self.acknowledge_url)] if self.acknowledge_url else []

    @property
    def _looking(self) -> list[tuple[str, str]]:
        ways = [("Open in Mainstay", self.url)]
        if self.runbook_url:
            ways.append(("Runbook", self.runbook_url))
        if self.instance_url.startswith(("http://", "https://")):
            ways.append(("Open the app", self.instance_url))
        return ways


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """A notice and the channel that it is for, read before it is sent outside any transaction."""

    notice: Notice
    kind: str
    config: dict[str, Any]
    secrets: Sequence[str]
    limited: bool = False


def _moment(at: datetime) -> str:
    return f"{at:%-d %b %Y, %H:%M} UTC"
