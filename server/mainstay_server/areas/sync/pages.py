"""The pages of synced folders: the list, and one folder with its snapshots and files."""

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Form
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.kernel.area import MenuEntry
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.frame import (
    done_or_refused,
    may_administer,
    project_frame,
    redirect_with,
)
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import render

from .models import SyncFolder, SyncSnapshot
from .service import files, folders, restoring, snapshots
from .settings import SyncSettings

PAGE = "folders"
PREFIX = "/dashboard/projects/{slug}/folders"
PER_PAGE = 50

router = Router(include_in_schema=False)

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]
Administered = Annotated[ProjectRef, access.project(Role.ADMIN)]
Asking = Annotated[Caller, access.signed_in()]
Number = Annotated[int, Form(ge=1, le=2**31 - 1)]


@router.get(PREFIX)
def show_folders(request: Request, session: Session, project: Viewed) -> Response:
    """The synced folders of a project, and how much room they take."""
    asked = request.query_params
    text = asked.get("q", "")[:64]
    page = folders.list_folders(
        session, project.id, text=text, limit=PER_PAGE, cursor=asked.get("cursor", "")
    )
    return _page(
        request,
        session,
        project,
        "list",
        folders=page.items,
        next_cursor=page.next_cursor,
        text=text,
        stored_bytes=folders.stored_bytes_of(session, project.id),
        limit_bytes=of(SyncSettings).sync_mib_per_project << 20,
    )


@router.get(PREFIX + "/{folder}")
def show_folder(request: Request, session: Session, project: Viewed, folder: str) -> Response:
    """One folder: the files of its newest or a chosen snapshot, and all snapshots."""
    asked = request.query_params
    found = folders.get_folder(session, project, folder)
    listed = snapshots.list_snapshots(
        session, found.id, limit=PER_PAGE, cursor=asked.get("older", "")
    )
    snapshot = _chosen(session, found, asked.get("snapshot", ""))
    text = asked.get("q", "")[:200]
    entries = snapshots.entries_of(project.id, snapshot.id) if snapshot else []
    page = files.list_entries(entries, text=text, limit=PER_PAGE, cursor=asked.get("cursor", ""))
    return _page(
        request,
        session,
        project,
        "folder",
        folder=found,
        snapshot=snapshot,
        entries=page.items,
        next_cursor=page.next_cursor,
        text=text,
        snapshots=listed.items,
        older_cursor=listed.next_cursor,
        at=_moment,
    )


@router.post(PREFIX + "/{folder}/restore")
def restore(
    project: Written,
    caller: Asking,
    folder: str,
    snapshot: Number,
    path: Annotated[str, Form(min_length=1, max_length=4000)],
) -> Response:
    """Bring an entry of an older snapshot back."""
    back = _path(project, folder)
    try:
        restoring.bring_back(
            project, folder, snapshot, path, made_by=caller.person_name, now=utc_now()
        )
    except Problem as problem:
        return redirect_with(back, problem.detail, "critical")
    return redirect_with(
        back, f"{path[:200]} is back as it was; machines get it when they sync next."
    )


@router.post(PREFIX + "/{folder}/keep")
def change_kept(
    session: Session,
    project: Administered,
    folder: str,
    keep_snapshots: Annotated[int, Form(ge=1, le=1000)],
) -> Response:
    """Say how many snapshots are kept."""
    return done_or_refused(
        session,
        lambda: folders.change_folder(
            session, project, folder, keep_snapshots=keep_snapshots, now=utc_now()
        ),
        path=_path(project, folder),
        done=f"The newest {keep_snapshots} snapshots are kept.",
    )


@router.post(PREFIX + "/{folder}/forget")
def forget_snapshot(
    session: Session, project: Administered, folder: str, snapshot: Number
) -> Response:
    """Remove an older snapshot."""
    return done_or_refused(
        session,
        lambda: snapshots.remove_snapshot(session, project, folder, snapshot, now=utc_now()),
        path=_path(project, folder),
        done=f"Snapshot {snapshot} was removed.",
    )


@router.post(PREFIX + "/{folder}/remove")
def remove_folder(session: Session, project: Administered, folder: str) -> Response:
    """Remove a folder with all of its snapshots."""
    return done_or_refused(
        session,
        lambda: folders.remove_folder(session, project, folder, now=utc_now()),
        path=f"/dashboard/projects/{project.slug}/folders",
        done=f"{folder} was removed here; machines keep their files.",
    )


def _path(project: ProjectRef, folder: str) -> str:
    return f"/dashboard/projects/{project.slug}/folders/{quote(folder, safe='')}"


def _chosen(session: Session, folder: SyncFolder, asked: str) -> SyncSnapshot | None:
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 10 else folder.head  # noqa: PLR2004 - what the database can compare with
    return snapshots.get_snapshot(session, folder, number) if number else None


def _moment(modified_us: int) -> datetime | None:
    """The time of a file; None for one that no calendar has."""
    try:
        return datetime.fromtimestamp(modified_us / 1_000_000, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _page(
    request: Request,
    session: Session,
    project: ProjectRef,
    part: str,
    **context: Any,  # noqa: ANN401 - a template's names
) -> Response:
    return render(
        request,
        f"sync/{part}.html",
        **project_frame(request, session, project, page=PAGE, now=utc_now()),
        base=f"/dashboard/projects/{project.slug}/folders",
        api=f"/api/projects/{project.slug}/sync-folders",
        server=base_url(request),
        may_administer=may_administer(request),
        **context,
    )


menu = MenuEntry(label="Synced folders", page=PAGE, icon="archive", group="keep", order=40)
