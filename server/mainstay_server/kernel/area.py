"""What an area may contribute: the whole surface between an area and the rest, in one place."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from .columns import Table
from .configured import Configured
from .events import Reaction
from .guard import GuardStep
from .jobs import Job
from .measures import MeasureFamily
from .ports import Answer
from .readiness import ReadinessCheck
from .settings import Settings
from .subjects import InstanceRef, Watches
from .vitals import Vital


@dataclass(frozen=True, kw_only=True)
class Door:
    """A plain ASGI way in, before any framework routing.

    `path` is what follows `/api/{number}/`, with its trailing slash (`envelope/`); the door is
    called with the project number of the path, and is reached without the trailing slash too. One
    that `takes_rest` is reached by everything that begins with it (`cron/nightly-backup`), and
    `told_as` is the form of those paths in OpenAPI.
    """

    path: str
    app: Callable[[Scope, Receive, Send, int], Awaitable[None]]
    takes_rest: bool = False
    told_as: str = ""


@dataclass(frozen=True, kw_only=True)
class PlainRoute:
    """A plain ASGI way in at an exact path, before any framework, for what is asked very often.

    A `path` that ends in a slash is the way in for everything below it; `told_as` is then the form
    of those paths in OpenAPI, such as `/ping/{uuid}`. Several routes may tell several forms of one
    path; they have the same app.

    It checks by itself who is asking; `access` says in words whom it lets in. `operations` are its
    OpenAPI operations by method in lower case, since no framework knows of it.
    """

    path: str
    access: str
    app: Callable[[Scope, Receive, Send], Awaitable[None]]
    operations: Mapping[str, Mapping[str, Any]] = field(repr=False)
    told_as: str = ""


@dataclass(frozen=True, kw_only=True)
class PlainTree:
    """A plain ASGI way in to all that lies under a prefix, and at hosts of its own.

    It answers what is asked very often from memory, and hands on to `rest`, the framework, what it
    does not answer. It may change the path then. `hosts` tells, from memory, the hosts (in lower
    case, without a port) at which nothing else of the server is reached. `access` says in words
    whom it lets in.
    """

    prefix: str
    access: str
    hosts: Callable[[], Collection[str]] = field(repr=False)
    app: Callable[[Scope, Receive, Send, ASGIApp], Awaitable[None]] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class EnvelopeItem:
    """A kind of Sentry envelope item that an area takes, as bytes, for a known project."""

    type: str
    max_bytes: int
    take: "TakeItem"


class TakeItem(Protocol):
    """Store one envelope item. Returning means stored; a `Problem` refuses it."""

    async def __call__(self, item: "ReceivedItem") -> None:
        """Take the item."""


@dataclass(frozen=True, kw_only=True)
class ReceivedItem:
    """One envelope item on its way in; `event_id` is 32 hex digits, given or made."""

    project_id: str
    project_number: int
    event_id: str
    headers: Mapping[str, Any]
    payload: bytes
    received_at: datetime


@dataclass(frozen=True, kw_only=True)
class Loop:
    """Work that never ends, run by every process of the role. It returns soon after `stop` is set.

    Roles: `web` answers requests, `worker` runs jobs and the outbox, `probe` asks apps.
    """

    name: str
    role: str
    run: Callable[["StopSignal"], Awaitable[None]]


class StopSignal(Protocol):
    """Set when the process is asked to end."""

    def is_set(self) -> bool:
        """Whether it is time to end."""

    async def wait(self) -> object:
        """Sleep until it is."""


@dataclass(frozen=True, kw_only=True)
class PanelRequest:
    """What a panel is drawn from. `hours` is the time range that the whole page shares."""

    request: Request
    session: Session
    instance: InstanceRef
    hours: int
    now: datetime
    may_write: bool
    may_administer: bool = False


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A part of a project's page (`monitoring`, `security`) that refreshes by itself."""

    page: str
    name: str
    title: str
    order: int
    draw: Callable[[PanelRequest], str] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One figure of an instance on the overview. Tones: ok, warn, critical, info, neutral."""

    label: str
    value: str
    tone: str = "neutral"
    hint: str = ""
    page: str = ""
    spark: tuple[float | None, ...] = ()


Tiles = Callable[[Session, Sequence[str], datetime], Mapping[str, Tile]]
Summaries = Callable[[Session, Sequence[str], datetime], Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class MenuEntry:
    """A page of a project in its side bar; `page` follows `/dashboard/projects/{slug}/`."""

    label: str
    page: str
    icon: str
    group: str
    order: int


@dataclass(frozen=True, kw_only=True)
class OrganizationEntry:
    """A page about the whole organization in its side bar; `page` follows `/dashboard/`.

    `role` is the least that it is shown to; the page itself declares who may open it.
    """

    label: str
    page: str
    icon: str
    order: int
    role: str


@dataclass(frozen=True, kw_only=True)
class Area:
    """Everything that one capability contributes; folded by the app, read by nobody else."""

    name: str
    title: str
    api: APIRouter | None = None
    pages: APIRouter | None = None
    doors: tuple[Door, ...] = ()
    plain_routes: tuple[PlainRoute, ...] = ()
    plain_trees: tuple[PlainTree, ...] = ()
    envelope_items: tuple[EnvelopeItem, ...] = ()
    jobs: tuple[Job, ...] = ()
    loops: tuple[Loop, ...] = ()
    reactions: tuple[Reaction, ...] = ()
    readiness: tuple[ReadinessCheck, ...] = ()
    settings: tuple[type[Settings], ...] = ()
    tables: tuple[Table, ...] = ()
    answers: tuple[Answer, ...] = ()
    panels: tuple[Panel, ...] = ()
    tiles: Tiles | None = None
    summary: Summaries | None = None
    menu: tuple[MenuEntry, ...] = ()
    organization_menu: tuple[OrganizationEntry, ...] = ()
    guard: tuple[GuardStep, ...] = ()
    vitals: tuple[Vital, ...] = ()
    watches: Watches | None = None
    configured: tuple[Configured, ...] = ()
    measures: tuple[MeasureFamily, ...] = ()


class _Installed:
    areas: tuple[Area, ...] = ()


def install(areas: tuple[Area, ...]) -> None:
    """Make the areas known to this process. Names must differ."""
    names = [area.name for area in areas]
    if len(set(names)) != len(names):
        raise ValueError(f"two areas share a name: {sorted(names)}")
    _Installed.areas = areas


def installed() -> tuple[Area, ...]:
    """The areas of this process, for those who fold what areas declare."""
    return _Installed.areas
