"""What the API of status pages gives, with the examples that its documentation shows."""

from typing import Any

from mainstay_server.kernel.web import Answer
from mainstay_server.kernel.web.bodies import Instant


class StatusPageAnswer(Answer):
    """One page with its settings; its password is never given."""

    id: str
    slug: str
    host: str
    url: str
    name: str
    description: str
    published: bool
    visibility: str
    has_password: bool
    networks: list[str]
    language: str
    time_zone: str
    theme: str
    accent: str
    logo: str
    shows_uptime: bool
    shows_charts: bool
    names_windows: bool
    is_indexed: bool
    auto_report_minutes: int
    takes_emails: bool
    takes_webhooks: bool
    created_at: Instant
    changed_at: Instant


class StatusPages(Answer):
    """The pages of the organization."""

    status_pages: list[StatusPageAnswer]
    next_cursor: str | None


class StatusGroupAnswer(Answer):
    """One heading of a page."""

    id: str
    name: str
    position: int


class StatusGroups(Answer):
    """The headings of a page, in their order."""

    groups: list[StatusGroupAnswer]
    next_cursor: str | None


class StatusComponentAnswer(Answer):
    """One component; `manualStatus` counts only where `subjectId` is empty."""

    id: str
    name: str
    description: str
    group_id: str
    subject_id: str
    manual_status: str
    only_if_degraded: bool
    position: int
    created_at: Instant
    changed_at: Instant


class StatusComponents(Answer):
    """The components of a page, in their order."""

    components: list[StatusComponentAnswer]
    next_cursor: str | None


class StatusUpdateAnswer(Answer):
    """What was said at one moment."""

    id: str
    status: str
    body: str
    said_at: Instant


class StatusReportAnswer(Answer):
    """One incident as it is told, its newest update first."""

    id: str
    title: str
    status: str
    impact: str
    automatic: bool
    started_at: Instant
    resolved_at: Instant | None
    affected: dict[str, str]
    updates: list[StatusUpdateAnswer]


class StatusReports(Answer):
    """The incidents of a page, the newest first."""

    reports: list[StatusReportAnswer]
    next_cursor: str | None


class StatusMaintenanceAnswer(Answer):
    """One maintenance that a page announces, its newest update first."""

    id: str
    title: str
    status: str
    component_ids: list[str]
    starts_at: Instant
    ends_at: Instant
    updates: list[StatusUpdateAnswer]


class StatusMaintenances(Answer):
    """The maintenances of a page, those that begin last first."""

    maintenances: list[StatusMaintenanceAnswer]
    next_cursor: str | None


class StatusSubscriberAnswer(Answer):
    """One subscriber; the address is masked."""

    id: str
    kind: str
    address: str
    component_ids: list[str]
    created_at: Instant
    confirmed_at: Instant | None
    last_delivered_at: Instant | None
    last_error: str


class StatusSubscribers(Answer):
    """The subscribers of a page, in the order they came."""

    subscribers: list[StatusSubscriberAnswer]
    next_cursor: str | None


class StatusBadge(Answer):
    """The addresses of the badges of one thing."""

    kind: str
    id: str
    name: str
    status_svg: str
    status_json: str
    status_shields: str
    uptime_svg: str
    uptime_json: str
    uptime_shields: str


class StatusBadges(Answer):
    """The badges of a page, of its components, and of what they are bound to."""

    badges: list[StatusBadge]
    next_cursor: str | None


PAGE_ID = "0193a0c2-7e57-7000-8000-0000000000a1"
COMPONENT_ID = "0193a0c2-7e57-7000-8000-0000000000a2"
GROUP_ID = "0193a0c2-7e57-7000-8000-0000000000a3"
_AT = "2026-11-26T09:41:45.001Z"
CURSOR = "WyIwMTk5YjFiMi03YzNkIl0"
A_PAGE: dict[str, Any] = {
    "id": PAGE_ID,
    "slug": "acme",
    "host": "status.acme.example",
    "url": "https://status.acme.example",
    "name": "Acme",
    "description": "How our shop and its API are.",
    "published": True,
    "visibility": "public",
    "hasPassword": False,
    "networks": [],
    "language": "en",
    "timeZone": "Europe/Berlin",
    "theme": "auto",
    "accent": "#2360c4",
    "logo": "",
    "showsUptime": True,
    "showsCharts": True,
    "namesWindows": False,
    "isIndexed": True,
    "autoReportMinutes": 5,
    "takesEmails": True,
    "takesWebhooks": False,
    "createdAt": _AT,
    "changedAt": _AT,
}
A_GROUP = {"id": GROUP_ID, "name": "Shop", "position": 0}
A_COMPONENT: dict[str, Any] = {
    "id": COMPONENT_ID,
    "name": "API",
    "description": "",
    "groupId": GROUP_ID,
    "subjectId": "0193a0c2-7e57-7000-8000-000000000001",
    "manualStatus": "operational",
    "onlyIfDegraded": False,
    "position": 0,
    "createdAt": _AT,
    "changedAt": _AT,
}
AN_UPDATE = {
    "id": "0193a0c2-7e57-7000-8000-0000000000a5",
    "status": "investigating",
    "body": "We are looking into it.",
    "saidAt": _AT,
}
A_REPORT: dict[str, Any] = {
    "id": "0193a0c2-7e57-7000-8000-0000000000a4",
    "title": "Slow answers",
    "status": "investigating",
    "impact": "minor",
    "automatic": False,
    "startedAt": _AT,
    "resolvedAt": _AT,
    "affected": {COMPONENT_ID: "degraded_performance"},
    "updates": [AN_UPDATE],
}
A_MAINTENANCE: dict[str, Any] = {
    "id": "0193a0c2-7e57-7000-8000-0000000000a6",
    "title": "A larger database",
    "status": "scheduled",
    "componentIds": [COMPONENT_ID],
    "startsAt": "2099-01-01T02:00:00.000Z",
    "endsAt": "2099-01-01T03:00:00.000Z",
    "updates": [AN_UPDATE | {"status": "scheduled"}],
}
A_SUBSCRIBER: dict[str, Any] = {
    "id": "0193a0c2-7e57-7000-8000-0000000000a7",
    "kind": "email",
    "address": "al…@ships.example",
    "componentIds": [],
    "createdAt": _AT,
    "confirmedAt": _AT,
    "lastDeliveredAt": _AT,
    "lastError": "",
}
A_BADGE = {
    "kind": "page",
    "id": PAGE_ID,
    "name": "Acme",
    **{
        f"{about}{form}": f"https://status.acme.example/badge/m3Zx0aF1q9KcLw2T/page/{PAGE_ID}"
        f"/{about}.{ending}"
        for about in ("status", "uptime")
        for form, ending in (("Svg", "svg"), ("Json", "json"), ("Shields", "shields.json"))
    },
}
