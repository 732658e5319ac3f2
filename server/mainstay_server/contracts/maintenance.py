"""Maintenance: which windows cover what, and what is said when one nears, begins, ends."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from sqlalchemy.orm import Session
from typing_extensions import override

from mainstay_server.kernel.events import Audited, Event, Target
from mainstay_server.kernel.ports import port

MOST_WINDOWS = 1000


@dataclass(frozen=True, kw_only=True)
class Window:
    """A span of maintenance, from its start up to but not including its end.

    `name` is that of the maintenance; where several overlap, their names with commas between.
    """

    started_at: datetime
    ended_at: datetime
    name: str


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What of a project a maintenance covers; one that names nothing covers the whole project.

    `instance_ids` narrows it to these instances. `tags` and `subject_ids` narrow it to the watched
    subjects that bear one of the tags or are named.
    """

    instance_ids: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    subject_ids: frozenset[str] = frozenset()

    def covers(self, instance_id: str, tags: Iterable[str] = (), subject_id: str = "") -> bool:
        """Whether a watched subject is covered; without a subject, whether the whole instance."""
        if self.instance_ids and instance_id not in self.instance_ids:
            return False
        if not self.tags and not self.subject_ids:
            return True
        return subject_id in self.subject_ids or not self.tags.isdisjoint(tags)


@dataclass(frozen=True, kw_only=True)
class MaintenanceWindow:
    """One window as people see it: with what it is for, how it stands, and what it covers.

    `id` stays the same when the window is moved, so that what was told of it can be told anew.
    """

    id: str
    maintenance_id: str
    name: str
    description: str
    status: Literal["upcoming", "active", "ended"]
    started_at: datetime
    ended_at: datetime
    scope: Scope


@port
def windows_over(
    session: Session,
    instance_id: str,
    tags: Sequence[str],
    subject_id: str,
    *,
    since: datetime,
    until: datetime,
) -> Sequence[Window]:
    """The windows that cover a watched subject and overlap a range, in order and disjoint.

    Those that overlap or touch are merged into one; none is cut to the range. When the range is
    a moment, it is the window that the moment lies in, so its end tells how long to hold back.
    Without tags and subject it is asked of an instance as a whole. What has begun never changes
    afterwards, except that its end may be moved while it lasts.
    """
    raise NotImplementedError


@port
def list_windows(
    session: Session, project_id: str, *, since: datetime, until: datetime, now: datetime
) -> Sequence[MaintenanceWindow]:
    """Every window of a project that overlaps a range, by its start; at most 1,000.

    Not merged, none that was cancelled. One call serves any number of subjects: `scope.covers`.
    """
    raise NotImplementedError


class MaintenanceTold(Event, frozen=True, kw_only=True):
    """The base of what is said of one window; those of one maintenance are heard in order.

    Empty lists mean all: `Scope(...)` of the three tells what is covered.
    """

    organization_id: str
    project_id: str
    maintenance_id: str
    window_id: str
    name: str
    description: str
    started_at: datetime
    ended_at: datetime
    instance_ids: list[str]
    tags: list[str]
    subject_ids: list[str]

    @property
    @override
    def subject(self) -> str:
        return self.maintenance_id

    @property
    def scope(self) -> Scope:
        """What it covers."""
        return Scope(
            instance_ids=frozenset(self.instance_ids),
            tags=frozenset(self.tags),
            subject_ids=frozenset(self.subject_ids),
        )


class MaintenanceAnnounced(MaintenanceTold, frozen=True, kw_only=True):
    """A window begins before long (an hour, unless set otherwise); said once per window."""


class MaintenanceBegan(MaintenanceTold, frozen=True, kw_only=True):
    """A window has begun: alerts of what it covers are held back until it ends."""


class MaintenanceExtended(MaintenanceTold, frozen=True, kw_only=True):
    """Somebody moved the end of a window that has begun; `ended_at` is the new one."""


class MaintenanceEnded(MaintenanceTold, frozen=True, kw_only=True):
    """A window that had begun is over: what is still in trouble is told now."""


class MaintenanceCancelled(MaintenanceTold, frozen=True, kw_only=True):
    """Somebody cancelled a window that had been announced and had not begun."""


class MaintenanceEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said when somebody plans maintenance, once or again and again."""

    noun: ClassVar[str] = "maintenance"
    project_id: str
    maintenance_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.maintenance_id, self.name)


class MaintenancePlanned(MaintenanceEvent, frozen=True, kw_only=True):
    """Somebody planned maintenance, or began it at once."""


class MaintenanceChanged(MaintenanceEvent, frozen=True, kw_only=True):
    """Somebody changed what is planned; windows that have begun stay as they were."""


class MaintenanceRemoved(MaintenanceEvent, frozen=True, kw_only=True):
    """Somebody called off all further windows; those that have begun count as before."""


class MaintenanceWindowEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said when somebody acts on a single window."""

    noun: ClassVar[str] = "maintenance_window"
    project_id: str
    maintenance_id: str
    window_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.window_id, self.name)


class MaintenanceWindowChanged(MaintenanceWindowEvent, frozen=True, kw_only=True):
    """Somebody began or ended a window early, extended it or moved it."""


class MaintenanceWindowCancelled(MaintenanceWindowEvent, frozen=True, kw_only=True):
    """Somebody cancelled a single window before it began."""
