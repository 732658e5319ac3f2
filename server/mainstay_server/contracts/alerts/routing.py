"""What alerts say of what decides who is told: routes, rules of inhibition, and silences."""

from typing import ClassVar

from typing_extensions import override

from mainstay_server.kernel.events import Audited, Target


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
