"""What components are bound to: whatever is watched, its past, and the maintenance of it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.contracts.maintenance import MaintenanceWindow, list_windows
from mainstay_server.kernel.subjects import Watched
from mainstay_server.kernel.watching import find_watched, list_watched
from mainstay_server.tenancy.subjects import instances_of_organization

MOST_SUBJECTS = 2_000
MAINTENANCE_AHEAD = timedelta(days=60)


@dataclass(frozen=True, kw_only=True)
class Offered:
    """One watched subject that a component may be bound to, with its project's name."""

    id: str
    name: str
    kind: str
    project: str


def find_subjects(
    session: Session, organization_id: str, ids: Collection[str]
) -> dict[str, Watched]:
    """Those of the ids that are watched and belong to an organization, by id."""
    return {
        one: watched
        for one, watched in find_watched(session, ids).items()
        if watched.organization_id == organization_id
    }


def offered_subjects(session: Session, organization_id: str) -> list[Offered]:
    """Everything that an organization watches, project by project; at most 2,000."""
    projects = {
        instance.project_id: instance.project_name
        for instance in instances_of_organization(session, organization_id)
    }
    found = [
        Offered(id=each.id, name=each.name, kind=each.kind, project=name)
        for project_id, name in projects.items()
        for each in list_watched(session, project_id, limit=MOST_SUBJECTS)
    ]
    return found[:MOST_SUBJECTS]


def windows_around(
    session: Session, subjects: Iterable[Watched], *, since: datetime, now: datetime
) -> list[MaintenanceWindow]:
    """The planned windows of the projects of some subjects, from `since` to 60 days ahead."""
    if not list_windows.is_answered:
        return []
    return [
        window
        for project_id in sorted({subject.project_id for subject in subjects})
        for window in list_windows(
            session, project_id, since=since, until=now + MAINTENANCE_AHEAD, now=now
        )
    ]


def covering(subject: Watched, windows: Sequence[MaintenanceWindow]) -> list[MaintenanceWindow]:
    """The windows that a subject lies in at some time."""
    return [
        window
        for window in windows
        if window.scope.covers(subject.instance_id, subject.tags, subject.id)
    ]
