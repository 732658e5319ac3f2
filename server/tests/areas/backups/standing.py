"""A project with an instance, destinations and targets, without any door."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest
from mainstay_server.areas.backups.models import (
    Backup,
    BackupCopy,
    BackupDestination,
    BackupKind,
    BackupStatus,
    BackupTarget,
    CopyStatus,
    DestinationKind,
)
from mainstay_server.areas.backups.service import destinations, runs, targets
from mainstay_server.areas.backups.service.choosing import TargetChoice
from mainstay_server.kernel import outbound
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.models import Instance, Organization, Project
from mainstay_server.tenancy.subjects import ProjectRef, find_instance, find_project
from sqlalchemy.orm import Session

from .worlds import allow

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
IDENTITY = str(pyrage.x25519.Identity.generate())
RECIPIENT = str(pyrage.x25519.Identity.from_str(IDENTITY).to_public())


@pytest.fixture
def way_out() -> Iterator[None]:
    """Addresses are judged as on embedded stores: private ones may be reached."""
    outbound.open_outbound(allow_private=True)
    yield
    outbound.close_outbound()


def an_instance(session: Session, environment: str = "production") -> InstanceRef:
    organization = Organization(id=new_id(), name="Harbour", created_at=NOON)
    session.add(organization)
    session.flush()
    project = Project(
        id=new_id(),
        organization_id=organization.id,
        number=7,
        slug="shop",
        name="Shop",
        created_at=NOON,
    )
    session.add(project)
    session.flush()
    instance = Instance(
        id=new_id(), project_id=project.id, environment=environment, url="", created_at=NOON
    )
    session.add(instance)
    session.flush()
    found = find_instance(session, instance.id)
    assert found is not None
    return found


def project_of(session: Session, instance: InstanceRef) -> ProjectRef:
    found = find_project(session, instance.project_id)
    assert found is not None
    return found


def a_folder(
    session: Session, instance: InstanceRef, folder: Path, name: str = "disk"
) -> BackupDestination:
    """A destination in a folder that exists."""
    folder.mkdir(exist_ok=True)
    return destinations.create_destination(
        session,
        project_of(session, instance),
        name=name,
        kind=DestinationKind.FOLDER,
        url=f"file://{folder}",
        now=NOON,
    )


def a_target(
    session: Session, instance: InstanceRef, folder: Path, *, name: str = "documents", **said: Any
) -> BackupTarget:
    """The folder `documents` below, sealed for one key; it goes to the server's own destination."""
    allow(folder)
    source = folder / "documents"
    source.mkdir(exist_ok=True)
    (source / "letter.txt").write_text("Dear all")
    choice = TargetChoice(
        name=name, config={"path": str(source)}, **{"recipients": [RECIPIENT], **said}
    )
    made = targets.create_target(session, instance, engine="files", choice=choice, now=NOON)
    return made.target


def a_stored_backup(
    session: Session,
    target: BackupTarget,
    *,
    at: datetime = NOON,
    is_verified: bool = False,
    plain_bytes: int = 1000,
) -> Backup:
    """A row of a backup with a copy at each destination, as if it had been made."""
    backup = runs.enqueue(session, target, BackupKind.SCHEDULED, due_at=at, now=at)
    assert backup is not None
    backup.status, backup.key = BackupStatus.SUCCEEDED, f"{target.folder}/{backup.id}.tar.zst.age"
    backup.started_at, backup.finished_at = at, at + timedelta(minutes=1)
    backup.plain_bytes = backup.sealed_bytes = plain_bytes
    backup.verified_at = at if is_verified else None
    for each in targets.destinations_of(session, target.id):
        session.add(
            BackupCopy(
                id=new_id(),
                backup_id=backup.id,
                destination_id=each.id,
                status=CopyStatus.STORED,
                stored_at=at,
            )
        )
    session.flush()
    return backup
