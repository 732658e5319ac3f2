"""What scans say: weaknesses that are new, each upload, and what somebody decided."""

from typing import ClassVar

from typing_extensions import override

from mainstay_server.kernel.events import Audited, Event, Target


class VulnerabilitiesFound(Event, frozen=True, kw_only=True):
    """A scan of the main branch found what was not open before; said once per scan.

    `by_severity` counts the new and the reopened together, `titles` are the gravest few.
    """

    organization_id: str
    project_id: str
    instance_id: str
    scan_id: str
    source: str
    release: str
    by_severity: dict[str, int]
    reopened: int
    titles: list[str]

    @property
    @override
    def subject(self) -> str:
        return self.instance_id


class VulnerabilityScanEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one upload."""

    noun: ClassVar[str] = "vulnerability_scan"
    project_id: str
    instance_id: str
    scan_id: str
    source: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.scan_id, self.source)


class VulnerabilityScanUploaded(VulnerabilityScanEvent, frozen=True, kw_only=True):
    """Somebody uploaded a scan, which may have opened and closed findings."""


class VulnerabilityEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one finding."""

    noun: ClassVar[str] = "vulnerability"
    project_id: str
    instance_id: str
    finding_id: str
    title: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.finding_id, self.title)


class VulnerabilityDecided(VulnerabilityEvent, frozen=True, kw_only=True):
    """Somebody accepted a finding for a while, called it false, or took that back."""


class VulnerabilitySettingsEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of how an instance takes scans."""

    noun: ClassVar[str] = "vulnerability_settings"
    project_id: str
    instance_id: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.instance_id, "vulnerability settings")


class VulnerabilitySettingsChanged(VulnerabilitySettingsEvent, frozen=True, kw_only=True):
    """Somebody named another branch the main one."""
