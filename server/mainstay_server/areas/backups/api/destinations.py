"""The API of the places that copies go to."""

from typing import Annotated

from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import BackupDestination
from mainstay_server.areas.backups.service import destinations
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, page_within
from mainstay_server.kernel.problems import NotFound
from mainstay_server.kernel.web import Cursor, Limit, Router, example
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef

from .shapes import (
    BackupDestinationAnswer,
    BackupDestinationChanges,
    BackupDestinationsAnswer,
    NewBackupDestination,
)
from .telling import told_destination

router = Router(prefix="/api/projects/{slug}/backup-destinations")

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Administered = Annotated[ProjectRef, access.project(Role.ADMIN)]

_DESTINATION = {
    "id": "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
    "name": "Other region",
    "kind": "s3",
    "shown": "s3://ferrand-backups/orders at s3.eu-central-1.amazonaws.com",
    "createdAt": "2026-11-21T09:41:45.001Z",
    "checkedAt": "2026-11-21T09:41:47.300Z",
    "problem": "",
    "copies": 120,
}


@router.get(
    "",
    summary="List backup destinations",
    operation_id="list_backup_destinations",
    responses=example({"backupDestinations": [_DESTINATION]}),
)
def list_destinations(
    session: Session, project: Viewed, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> BackupDestinationsAnswer:
    """The places that copies of a project go to, by name."""
    found = destinations.list_destinations(session, project.id)
    page = page_within(found, limit=limit, cursor=cursor, key=lambda each: (each.name, each.id))
    return BackupDestinationsAnswer(
        backup_destinations=[_told(session, each) for each in page.items],
        next_cursor=page.next_cursor,
    )


@router.post(
    "",
    status_code=201,
    summary="Make a backup destination",
    operation_id="create_backup_destination",
    responses=example(_DESTINATION, 201),
)
def create_destination(
    session: Session, project: Administered, wanted: NewBackupDestination
) -> BackupDestinationAnswer:
    """Make a place for copies. Nothing is asked of it yet: `check` tries whether it works."""
    made = destinations.create_destination(
        session, project, name=wanted.name, kind=wanted.kind, url=wanted.url, now=utc_now()
    )
    return _told(session, made)


@router.patch(
    "/{destination_id:id}",
    summary="Change a backup destination",
    operation_id="change_backup_destination",
    responses=example(_DESTINATION),
)
def change_destination(
    session: Session,
    project: Administered,
    destination_id: str,
    changes: BackupDestinationChanges,
) -> BackupDestinationAnswer:
    """Rename it, or give it other keys; another place only while no copy lies there."""
    row = _get(session, project, destination_id)
    changed = destinations.change_destination(
        session, row, name=changes.name, url=changes.url, now=utc_now()
    )
    return _told(session, changed)


@router.post(
    "/{destination_id:id}/check",
    summary="Try a backup destination",
    operation_id="check_backup_destination",
    responses=example(_DESTINATION),
)
def check_destination(project: Administered, destination_id: str) -> BackupDestinationAnswer:
    """Write a small object there, read it, and remove it; `problem` says what is wrong."""
    with reading() as session:
        _get(session, project, destination_id)
    destinations.check(destination_id, now=utc_now())
    with reading() as session:
        return _told(session, _get(session, project, destination_id))


@router.delete(
    "/{destination_id:id}",
    status_code=204,
    summary="Remove a backup destination",
    operation_id="remove_backup_destination",
)
def remove_destination(session: Session, project: Administered, destination_id: str) -> None:
    """Remove a destination that no target uses and where no copy lies."""
    row = _get(session, project, destination_id)
    destinations.remove_destination(session, row, now=utc_now())


def _get(session: Session, project: ProjectRef, destination_id: str) -> BackupDestination:
    row = destinations.get_destination(session, destination_id)
    if row.project_id != project.id:
        raise NotFound("There is no such destination, or it is not yours; list them first.")
    return row


def _told(session: Session, row: BackupDestination) -> BackupDestinationAnswer:
    return told_destination(row, copies=destinations.count_copies(session, row.id))
