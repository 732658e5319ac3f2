"""Remediation: an automatic action that may put right by itself what an alert is about."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from sqlalchemy.orm import Session
from typing_extensions import override

from mainstay_server.kernel.events import Audited, Event, Target, Value
from mainstay_server.kernel.ports import port


@port
def start_remediation(session: Session, alert_id: str, *, action: str, now: datetime) -> bool:
    """Start an automatic action for an active alert; False when none fits, or none may run now.

    `action` names one that the project allows; "" is whichever fits the alert. Nothing is awaited:
    it is started after the commit, once, and what becomes of it shows as the alert ends or not.
    Whoever asks looks first whether the port is answered, and goes without it otherwise.
    """
    raise NotImplementedError


class RemediationChanged(Event, frozen=True, kw_only=True):
    """The base of what is said of one run: an alert that an action is to put right."""

    organization_id: str
    project_id: str
    instance_id: str
    run_id: str
    alert_id: str
    action: str

    @property
    @override
    def subject(self) -> str:
        return self.alert_id


class RemediationStarted(RemediationChanged, frozen=True, kw_only=True):
    """An action has begun for an alert; its first try is made after the commit."""


class RemediationSucceeded(RemediationChanged, frozen=True, kw_only=True):
    """The alert was over while an action was at work on it, after so many tries."""

    tries: int


class RemediationFailed(RemediationChanged, frozen=True, kw_only=True):
    """An action has given up, or was not let begin (`tries` is 0): somebody has to see to it."""

    tries: int
    reason: str


class RemediationActionEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one action that a project allows; a URL is told masked."""

    noun: ClassVar[str] = "remediation_action"
    project_id: str
    action_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.action_id, self.name)


class RemediationActionCreated(RemediationActionEvent, frozen=True, kw_only=True):
    """Somebody allowed something to be done by itself."""


class RemediationActionChanged(RemediationActionEvent, frozen=True, kw_only=True):
    """Somebody allowed it otherwise, or switched it on or off."""


class RemediationActionRemoved(RemediationActionEvent, frozen=True, kw_only=True):
    """Somebody allowed it no more."""


class RemediationActionRun(RemediationActionEvent, frozen=True, kw_only=True):
    """A person, and not an alert, had an action begin."""

    alert_id: str

    @property
    @override
    def details(self) -> Mapping[str, Value]:
        return {"alert_id": self.alert_id}
