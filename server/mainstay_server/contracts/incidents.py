"""Incidents: what people work on, and what is said of one as it goes from opened to resolved."""

from collections.abc import Mapping
from typing import ClassVar

from typing_extensions import override

from mainstay_server.kernel.events import Audited, Target, Value


class IncidentEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one incident; severity is minor, major or critical.

    `number` counts the incidents of a project; `instance_id` is "" when it is about no single one.
    """

    noun: ClassVar[str] = "incident"
    project_id: str
    instance_id: str
    incident_id: str
    number: int
    title: str
    severity: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.incident_id, f"#{self.number} {self.title}")


class IncidentOpened(IncidentEvent, frozen=True, kw_only=True):
    """Somebody opened an incident or, when `automatic`, an alert did."""

    automatic: bool

    @property
    @override
    def details(self) -> Mapping[str, Value]:
        return {"automatic": self.automatic}


class IncidentAcknowledged(IncidentEvent, frozen=True, kw_only=True):
    """Somebody has taken up an incident that alerts had opened; said once."""


class IncidentChanged(IncidentEvent, frozen=True, kw_only=True):
    """Its status, severity, title or summary is different, by somebody or by what its alerts do."""


class IncidentResolved(IncidentEvent, frozen=True, kw_only=True):
    """It is over; `automatic` when its last alert ended and nobody had taken it up.

    `open_seconds` is for how long it was open, without the times between an end and a reopening.
    """

    automatic: bool
    open_seconds: float

    @property
    @override
    def details(self) -> Mapping[str, Value]:
        return {"automatic": self.automatic, "open_seconds": self.open_seconds}


class IncidentReopened(IncidentEvent, frozen=True, kw_only=True):
    """It was not over after all: somebody says so or, when `automatic`, an alert does."""

    automatic: bool

    @property
    @override
    def details(self) -> Mapping[str, Value]:
        return {"automatic": self.automatic}


class IncidentStaffed(IncidentEvent, frozen=True, kw_only=True):
    """Somebody took or gave up a role, or is or is not any more one of those who respond."""


class IncidentAlertsChanged(IncidentEvent, frozen=True, kw_only=True):
    """Somebody put an alert to an incident, or took one out."""


class IncidentNoted(IncidentEvent, frozen=True, kw_only=True):
    """Somebody wrote a note into the timeline, or removed one."""


class IncidentTold(IncidentEvent, frozen=True, kw_only=True):
    """Somebody told of an incident on a status page."""

    page_id: str
    report_id: str

    @property
    @override
    def details(self) -> Mapping[str, Value]:
        return {"page_id": self.page_id, "report_id": self.report_id}


class IncidentPostmortemChanged(IncidentEvent, frozen=True, kw_only=True):
    """Somebody wrote or changed what was learnt; only its length is told."""


class IncidentRemoved(IncidentEvent, frozen=True, kw_only=True):
    """Somebody removed an incident with its timeline, as if it had never been."""


class IncidentSettingsChanged(Audited, frozen=True, kw_only=True):
    """Somebody changed when the alerts of a project open incidents."""

    noun: ClassVar[str] = "incident_settings"
    project_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.project_id, self.name)
