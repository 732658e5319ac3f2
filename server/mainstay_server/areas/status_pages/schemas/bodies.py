"""What the API of status pages takes: bodies that refuse what cannot be, field by field."""

import ipaddress
import re
import zoneinfo
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from mainstay_server.areas.status_pages.models import ComponentStatus, Impact, ReportStatus
from mainstay_server.kernel.web import Body
from mainstay_server.kernel.web.bodies import Instant

from .colours import LEAST_CONTRAST, WHITE, contrast, darkened_to

MOST_NETWORKS = 100
LONGEST_BODY = 10_000
MOST_AUTO_REPORT_MINUTES = 1440
MOST_AFFECTED = 200
RESERVED = frozenset({"badges", "api", "assets", "new", "subscriptions"})

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?")
_HOST = re.compile(r"(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}")
_COLOUR = re.compile(r"#[0-9a-f]{6}")


def checked_slug(slug: str) -> str:
    """A slug as it stands in a path; raises ValueError for what is none."""
    slug = slug.strip().lower()
    if not _SLUG.fullmatch(slug):
        raise ValueError("has lower-case letters, digits and hyphens, 60 characters at most")
    if slug in RESERVED:
        raise ValueError("is a word that Mainstay needs itself; choose another")
    return slug


def _checked_host(host: str) -> str:
    host = host.strip().lower().rstrip(".")
    if host and not _HOST.fullmatch(host):
        raise ValueError("is a host name such as status.example.com, without https:// and port")
    return host


def _checked_accent(colour: str) -> str:
    colour = colour.strip().lower()
    if not _COLOUR.fullmatch(colour):
        raise ValueError("is a colour such as #2360c4")
    ratio = contrast(colour, WHITE)
    if ratio < LEAST_CONTRAST:
        nearest = darkened_to(colour, against=WHITE)
        raise ValueError(
            f"is too light to be read on white ({ratio:.1f}:1, and 4.5:1 is needed);"
            f" {nearest} would do"
        )
    return colour


def _checked_zone(name: str) -> str:
    if name not in zoneinfo.available_timezones():
        raise ValueError("is the name of a time zone such as Europe/Berlin")
    return name


def _checked_networks(networks: list[str]) -> list[str]:
    return [_network(text.strip()) for text in networks]


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise ValueError(f"{text[:50]!r} is no address or network") from None


def _one_line(text: str) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if not text:
        raise ValueError("must not be empty")
    return text


Slug = Annotated[str, Field(max_length=60), AfterValidator(checked_slug)]
Host = Annotated[str, Field(max_length=253), AfterValidator(_checked_host)]
Accent = Annotated[str, Field(max_length=7), AfterValidator(_checked_accent)]
Zone = Annotated[str, Field(max_length=60), AfterValidator(_checked_zone)]
ShownName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_one_line)]
Title = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_one_line)]
Markdown = Annotated[str, Field(max_length=LONGEST_BODY)]
Id = Annotated[str, Field(max_length=36)]
NetworkList = Annotated[
    list[Annotated[str, Field(max_length=50)]],
    Field(max_length=MOST_NETWORKS),
    AfterValidator(_checked_networks),
]
Shown = Literal["operational", "degraded_performance", "partial_outage", "major_outage"]
Ids = Annotated[list[Id], Field(max_length=MOST_AFFECTED)]
Affected = Annotated[dict[Id, Shown], Field(max_length=MOST_AFFECTED)]


class NewStatusPage(Body):
    """A page to make; without a slug it gets one from its name."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Acme", "slug": "acme"}]})

    name: ShownName
    slug: Slug | None = None
    description: Annotated[str, Field(max_length=2000)] = ""


class StatusPageChanges(Body):
    """What to change about a page; fields left out stay."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"published": True, "timeZone": "Europe/Berlin"}]}
    )

    name: ShownName | None = None
    slug: Slug | None = None
    host: Host | None = None
    description: Annotated[str, Field(max_length=2000)] | None = None
    published: bool | None = None
    visibility: Literal["public", "password", "allowlist", "members"] | None = None
    password: Annotated[str, Field(max_length=200)] | None = None
    networks: NetworkList | None = None
    language: Literal["en", "de"] | None = None
    time_zone: Zone | None = None
    theme: Literal["auto", "light", "dark"] | None = None
    accent: Accent | None = None
    shows_uptime: bool | None = None
    shows_charts: bool | None = None
    names_windows: bool | None = None
    is_indexed: bool | None = None
    auto_report_minutes: Annotated[int, Field(ge=0, le=MOST_AUTO_REPORT_MINUTES)] | None = None
    takes_emails: bool | None = None
    takes_webhooks: bool | None = None


class NewStatusGroup(Body):
    """A heading for components."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Shop"}]})

    name: ShownName


class NewStatusComponent(Body):
    """A line of the page: bound to a health check or heartbeat, or set by hand."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "API"}]})

    name: ShownName
    description: Annotated[str, Field(max_length=500)] = ""
    group_id: Id = ""
    subject_id: Id = ""
    only_if_degraded: bool = False


class StatusComponentChanges(Body):
    """What to change about a component; fields left out stay. `status` only without a subject."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "partial_outage"}]})

    name: ShownName | None = None
    description: Annotated[str, Field(max_length=500)] | None = None
    group_id: Id | None = None
    subject_id: Id | None = None
    status: Shown | None = None
    only_if_degraded: bool | None = None


class StatusOrder(Body):
    """The components and groups in the order in which they are to stand."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"componentIds": []}]})

    component_ids: Ids = Field(default_factory=list)
    group_ids: Ids = Field(default_factory=list)


class NewStatusReport(Body):
    """An incident to tell; `affected` maps components to how they are while it is open."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"title": "Slow answers", "impact": "minor", "body": "We are looking into it."}
            ]
        }
    )

    title: Title
    status: ReportStatus = ReportStatus.INVESTIGATING
    impact: Impact = Impact.MINOR
    body: Markdown = ""
    affected: Affected = Field(default_factory=dict)
    started_at: Instant | None = None
    notify: bool = True


class NewStatusUpdate(Body):
    """What is said about an incident now; what is left out stays as it was."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"status": "identified", "body": "A full disk."}]}
    )

    status: ReportStatus | None = None
    impact: Impact | None = None
    body: Markdown = ""
    affected: Affected | None = None
    notify: bool = True


class NewStatusMaintenance(Body):
    """A maintenance to announce."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "title": "A larger database",
                    "startsAt": "2099-01-01T02:00:00.000Z",
                    "endsAt": "2099-01-01T03:00:00.000Z",
                }
            ]
        }
    )

    title: Title
    body: Markdown = ""
    component_ids: Ids = Field(default_factory=list)
    starts_at: Instant
    ends_at: Instant
    notify: bool = True


class StatusMaintenanceChanges(Body):
    """What to change about a maintenance; with a body it is also said on the page."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"body": "We need a little longer."}]}
    )

    title: Title | None = None
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    component_ids: Ids | None = None
    body: Markdown = ""
    notify: bool = True


SHOWN_STATUSES = tuple(
    status
    for status in ComponentStatus
    if status not in (ComponentStatus.MAINTENANCE, ComponentStatus.UNKNOWN)
)
