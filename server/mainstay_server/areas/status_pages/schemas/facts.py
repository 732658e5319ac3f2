"""What a page shows, as plain values: read once, rendered in every form, kept as a snapshot.

Nothing in here may be secret: it leaves for caches and blobs. No URL or reason of a check is.
"""

from datetime import datetime

import msgspec

from mainstay_server.areas.status_pages.models import ComponentStatus


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Who may see the page, for those who decide while the database is away.

    `stamp` changes with the password, so that cookies of an old one end.
    """

    visibility: str
    organization_id: str
    networks: list[str] = []
    stamp: str = ""


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One day of a component's bar, in the page's time zone; `up` in percent of known time."""

    date: str
    status: str
    up: float | None = None
    down_seconds: int = 0
    degraded_seconds: int = 0
    maintenance_seconds: int = 0


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Mean response times in milliseconds, one value a step; None where nothing answered."""

    started_at: datetime
    step_seconds: int
    values: list[float | None]


class ComponentFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the page."""

    id: str
    name: str
    description: str
    group_id: str
    position: int
    status: ComponentStatus
    only_if_degraded: bool
    created_at: datetime
    changed_at: datetime
    subject_id: str = ""
    since: datetime | None = None
    days: list[Day] = []
    uptime: float | None = None
    chart: Chart | None = None


class GroupFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The heading of some components."""

    id: str
    name: str
    position: int
    created_at: datetime
    changed_at: datetime


class UpdateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was said at one moment: as it was written, and as sanitised HTML."""

    id: str
    status: str
    body: str
    html: str
    said_at: datetime


class ReportFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One incident, its newest update first; `affected` maps components to how they are."""

    id: str
    title: str
    status: str
    impact: str
    automatic: bool
    started_at: datetime
    resolved_at: datetime | None
    created_at: datetime
    changed_at: datetime
    updates: list[UpdateFacts]
    affected: dict[str, str]


class MaintenanceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One maintenance that was announced, or a window that was planned elsewhere (`planned`)."""

    id: str
    title: str
    status: str
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    changed_at: datetime
    component_ids: list[str]
    updates: list[UpdateFacts] = []
    planned: bool = False


class PageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a page shows as of `made_at`; what it says may be different from then on.

    `changes_at` is when time alone will change it, such as a maintenance that begins.
    `fingerprint` names the state of everything that it was made of.
    """

    id: str
    slug: str
    host: str
    url: str
    name: str
    description: str
    description_html: str
    language: str
    time_zone: str
    theme: str
    accent: str
    logo: str
    shows_uptime: bool
    is_indexed: bool
    takes_emails: bool
    takes_webhooks: bool
    badge_version: int
    access: Access
    changed_at: datetime
    made_at: datetime
    changes_at: datetime
    fingerprint: str
    groups: list[GroupFacts]
    components: list[ComponentFacts]
    reports: list[ReportFacts]
    maintenances: list[MaintenanceFacts]

    @property
    def base(self) -> str:
        """The path of the page on the server's own host."""
        return f"/status/{self.slug}"
