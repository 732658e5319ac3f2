"""What status pages say: who administered a page, and what was told on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from sqlalchemy.orm import Session
from typing_extensions import override

from mainstay_server.kernel.events import Audited, Target, Value
from mainstay_server.kernel.ports import port


@dataclass(frozen=True, kw_only=True)
class StatusPageSeen:
    """A status page as others may see it, with the names of its components by their ids."""

    id: str
    name: str
    url: str
    published: bool
    components: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ToldOnPage:
    """What is to be told of an incident on a status page; `body` is Markdown.

    `component_ids` are what it affects, as much as `impact` says; None leaves them as they are.
    """

    title: str
    status: Literal["investigating", "identified", "monitoring", "resolved"]
    impact: Literal["none", "minor", "major", "critical"]
    body: str
    component_ids: Sequence[str] | None
    started_at: datetime
    notify: bool


@port
def list_status_pages(session: Session, organization_id: str) -> Sequence[StatusPageSeen]:
    """The status pages of an organization by name; at most 50."""
    raise NotImplementedError


@port
def tell_on_status_page(
    session: Session,
    organization_id: str,
    page_id: str,
    told: ToldOnPage,
    *,
    report_id: str,
    now: datetime,
) -> str:
    """Tell of an incident on a page, by its report there or by a new one; returns the report's id.

    A report that was taken off the page is opened anew. Subscribers are told if `notify` says so.

    Raises:
        NotFound: the organization has no such page.
        Invalid: a component is not on the page.
        Conflict: the page has as many open reports, or the report as many updates, as may be.
    """
    raise NotImplementedError


class StatusPageEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one status page; its password is in no event."""

    noun: ClassVar[str] = "status_page"
    page_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.page_id, self.name)


class StatusPageCreated(StatusPageEvent, frozen=True, kw_only=True):
    """Somebody made a status page; it is a draft until it is published."""


class StatusPageChanged(StatusPageEvent, frozen=True, kw_only=True):
    """Somebody changed what a page is called, how it looks, who sees it, or put it in order."""


class StatusPageRemoved(StatusPageEvent, frozen=True, kw_only=True):
    """Somebody removed a page with everything that was told on it, and its subscribers."""


class StatusComponentEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one component of a page."""

    noun: ClassVar[str] = "status_component"
    page_id: str
    component_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.component_id, self.name)


class StatusComponentCreated(StatusComponentEvent, frozen=True, kw_only=True):
    """Somebody put a component on a page."""


class StatusComponentChanged(StatusComponentEvent, frozen=True, kw_only=True):
    """Somebody changed a component: its name, what it is bound to, or its state by hand."""


class StatusComponentRemoved(StatusComponentEvent, frozen=True, kw_only=True):
    """Somebody took a component off a page."""


class StatusGroupEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one group of components."""

    noun: ClassVar[str] = "status_group"
    page_id: str
    group_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.group_id, self.name)


class StatusGroupCreated(StatusGroupEvent, frozen=True, kw_only=True):
    """Somebody gave components a name to stand under."""


class StatusGroupChanged(StatusGroupEvent, frozen=True, kw_only=True):
    """Somebody renamed a group."""


class StatusGroupRemoved(StatusGroupEvent, frozen=True, kw_only=True):
    """Somebody removed a group; its components stay."""


class StatusReportEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one incident as a page tells it."""

    noun: ClassVar[str] = "status_report"
    page_id: str
    report_id: str
    title: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.report_id, self.title)


class StatusReportOpened(StatusReportEvent, frozen=True, kw_only=True):
    """An incident is told on a page, by somebody or, when `automatic`, by what was watched."""

    automatic: bool

    @property
    @override
    def details(self) -> Mapping[str, Value]:
        return {"automatic": self.automatic}


class StatusReportUpdated(StatusReportEvent, frozen=True, kw_only=True):
    """Something was said about an incident, or its facts were changed."""


class StatusReportRemoved(StatusReportEvent, frozen=True, kw_only=True):
    """Somebody took an incident off a page."""


class StatusMaintenanceEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one maintenance that a page announces."""

    noun: ClassVar[str] = "status_maintenance"
    page_id: str
    maintenance_id: str
    title: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.maintenance_id, self.title)


class StatusMaintenanceAnnounced(StatusMaintenanceEvent, frozen=True, kw_only=True):
    """Somebody announced a maintenance."""


class StatusMaintenanceChanged(StatusMaintenanceEvent, frozen=True, kw_only=True):
    """Somebody moved or renamed an announced maintenance, or said something about it."""


class StatusMaintenanceRemoved(StatusMaintenanceEvent, frozen=True, kw_only=True):
    """Somebody took an announced maintenance back."""


class StatusSubscriberRemoved(Audited, frozen=True, kw_only=True):
    """Somebody of the organization ended the subscription of another; `shown` is masked."""

    noun: ClassVar[str] = "status_subscriber"
    page_id: str
    subscriber_id: str
    shown: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.subscriber_id, self.shown)
