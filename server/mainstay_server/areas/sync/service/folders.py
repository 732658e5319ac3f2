"""Folders: made by name, listed with what they take, changed, removed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.sync.models import (
    KEPT_SNAPSHOTS,
    SyncFolder,
    SyncPack,
    SyncSnapshot,
)
from mainstay_server.areas.sync.settings import SyncSettings
from mainstay_server.contracts.sync import SyncFolderChanged, SyncFolderCreated, SyncFolderRemoved
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.pagination import Page, decode_cursor, page_of
from mainstay_server.kernel.problems import Conflict, NotFound
from mainstay_server.kernel.settings import of
from mainstay_server.tenancy.models import Project
from mainstay_server.tenancy.subjects import ProjectRef

FACTS = ("name", "keep_snapshots")


class FolderIds(TypedDict):
    """Whose something is: what every event about a folder carries."""

    organization_id: str
    project_id: str
    folder_id: str
    folder: str


@dataclass(frozen=True, kw_only=True)
class FolderState:
    """A folder as lists show it: with its newest snapshot, if it has any."""

    folder: SyncFolder
    newest: SyncSnapshot | None

    @property
    def name(self) -> str:
        """Its name."""
        return self.folder.name


def create_folder(session: Session, project: ProjectRef, name: str, *, now: datetime) -> SyncFolder:
    """Make an empty folder.

    Raises:
        Conflict: there is one of this name, or the project has as many as it may.
    """
    session.get_one(Project, project.id, with_for_update=True)  # one at a time, or two go in
    names = session.scalars(
        sa.select(SyncFolder.name).where(SyncFolder.project_id == project.id)
    ).all()
    if name in names:
        raise Conflict(f"There is a synced folder {name!r} already; choose another name.")
    most = of(SyncSettings).sync_folders_per_project
    if len(names) >= most:
        raise Conflict(f"The project has {most} synced folders; remove one first.")
    folder = SyncFolder(
        id=new_id(),
        project_id=project.id,
        name=name,
        head=0,
        keep_snapshots=KEPT_SNAPSHOTS,
        created_at=now,
    )
    session.add(folder)
    session.flush()
    changes = changes_between({}, facts_of(folder, FACTS))
    say(session, SyncFolderCreated(**ids_of(project, folder), changes=changes), now=now)
    return folder


def get_folder(
    session: Session, project: ProjectRef, name: str, *, locked: bool = False
) -> SyncFolder:
    """The project's folder of this name. Raises `NotFound`."""
    statement = sa.select(SyncFolder).where(
        SyncFolder.project_id == project.id, SyncFolder.name == name
    )
    found = session.scalar(statement.with_for_update() if locked else statement)
    if found is None:
        raise NotFound(
            f"The project has no synced folder {name[:100]!r}; list them first.",
            code="folder-missing",
        )
    return found


def list_folders(
    session: Session, project_id: str, *, text: str = "", limit: int, cursor: str = ""
) -> Page[FolderState]:
    """The folders of a project by name, each with its newest snapshot."""
    newest = sa.and_(
        SyncSnapshot.folder_id == SyncFolder.id, SyncSnapshot.number == SyncFolder.head
    )
    statement = (
        sa.select(SyncFolder, SyncSnapshot)
        .outerjoin(SyncSnapshot, newest)
        .where(SyncFolder.project_id == project_id)
        .order_by(SyncFolder.name)
        .limit(limit + 1)
    )
    if text:
        statement = statement.where(SyncFolder.name.contains(text, autoescape=True))
    after = decode_cursor(cursor, parts=1)
    if after is not None:
        statement = statement.where(SyncFolder.name > str(after[0]))
    found: Sequence[FolderState] = [
        FolderState(folder=folder, newest=snapshot)
        for folder, snapshot in session.execute(statement)
    ]
    return page_of(found, limit=limit, key=lambda one: (one.name,))


def stored_bytes_of(session: Session, project_id: str) -> int:
    """What the chunks of a project take, packed."""
    total = session.scalar(
        sa.select(sa.func.sum(SyncPack.bytes)).where(SyncPack.project_id == project_id)
    )
    return int(total or 0)


def change_folder(
    session: Session, project: ProjectRef, name: str, *, keep_snapshots: int, now: datetime
) -> SyncFolder:
    """Say how many snapshots are kept; older ones go at once."""
    folder = get_folder(session, project, name, locked=True)
    before = facts_of(folder, FACTS)
    folder.keep_snapshots = keep_snapshots
    session.flush()
    forget_old_snapshots(session, folder)
    changes = changes_between(before, facts_of(folder, FACTS))
    if changes:
        say(session, SyncFolderChanged(**ids_of(project, folder), changes=changes), now=now)
    return folder


def remove_folder(session: Session, project: ProjectRef, name: str, *, now: datetime) -> None:
    """Remove a folder with all of its snapshots; machines keep what they have."""
    folder = get_folder(session, project, name, locked=True)
    changes = changes_between(facts_of(folder, FACTS), {})
    say(session, SyncFolderRemoved(**ids_of(project, folder), changes=changes), now=now)
    session.execute(sa.delete(SyncSnapshot).where(SyncSnapshot.folder_id == folder.id))
    session.delete(folder)
    session.flush()


def forget_old_snapshots(session: Session, folder: SyncFolder) -> None:
    """Forget all but the newest snapshots that a folder keeps."""
    kept = sa.select(SyncSnapshot.number).where(SyncSnapshot.folder_id == folder.id)
    oldest = session.scalar(
        kept.order_by(SyncSnapshot.number.desc()).offset(folder.keep_snapshots - 1).limit(1)
    )
    if oldest is not None:
        session.execute(
            sa.delete(SyncSnapshot).where(
                SyncSnapshot.folder_id == folder.id, SyncSnapshot.number < oldest
            )
        )


def ids_of(project: ProjectRef, folder: SyncFolder) -> FolderIds:
    """What every event about a folder carries."""
    return {
        "organization_id": project.organization_id,
        "project_id": project.id,
        "folder_id": folder.id,
        "folder": folder.name,
    }
