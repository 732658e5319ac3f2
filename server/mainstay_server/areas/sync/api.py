"""Synced folders over HTTP: folders and snapshots in JSON, chunks as they are."""

import gzip
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.web import Cursor, Limit, Router
from mainstay_server.kernel.web.incoming import read_incoming
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef

from .schemas.answers import (
    A_MANIFEST,
    A_PART,
    A_PUSH,
    DIGEST,
    MANIFEST_SHAPE,
    PUSH_SHAPE,
    DigestsBody,
    Entries,
    EntryAnswer,
    FolderAnswer,
    FolderBody,
    Folders,
    FolderSettingsBody,
    MissingAnswer,
    RestoreBody,
    SnapshotAnswer,
    Snapshots,
    StoredAnswer,
)
from .schemas.entries import Entry, Kind
from .schemas.records import LARGEST_PART_BYTES
from .service import chunks, files, folders, restoring, snapshots
from .settings import SyncSettings

MIB = 1 << 20
FOLDERS = "/api/projects/{slug}/sync-folders"
FOLDER = FOLDERS + "/{folder}"
SNAPSHOT = FOLDER + "/snapshots/{snapshot}"
CHUNKS = "/api/projects/{slug}/sync-chunks"
BYTES = "application/octet-stream"

router = Router()
# Not of the kernel's kind: their bodies may be larger than others, and nothing waits for the
# database while they are read.
uploads = APIRouter()

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]
Administered = Annotated[ProjectRef, access.project(Role.ADMIN)]
Asking = Annotated[Caller, access.signed_in()]
Folder = Annotated[str, Path(description="The name of the folder.", max_length=64)]
Number = Annotated[int, Path(description="The number of the snapshot.", ge=1, le=2**31 - 1)]
Digests = Annotated[
    str,
    Query(
        pattern=r"^[0-9a-f]{64}(,[0-9a-f]{64}){0,99}$",
        description="The SHA-256 of up to 100 chunks in hex, separated by commas.",
        examples=[DIGEST],
    ),
]
FilePath = Annotated[str, Query(description="The path of a file in it.", max_length=4000)]


def body_of(media: str, shape: dict[str, Any], example: Any, told: str) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """What OpenAPI says of a body that no framework reads."""
    content = {media: {"schema": shape, "example": example}}
    return {"requestBody": {"required": True, "description": told, "content": content}}


@router.get(FOLDERS, summary="List synced folders", operation_id="list_sync_folders")
def list_folders(
    session: Session,
    project: Viewed,
    *,
    q: Annotated[str, Query(max_length=64, description="In the name.")] = "",
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> Folders:
    """The synced folders of a project, each with its newest snapshot."""
    page = folders.list_folders(session, project.id, text=q, limit=limit, cursor=cursor)
    answers = [
        FolderAnswer.model_validate(one.folder).model_copy(
            update={"newest": SnapshotAnswer.model_validate(one.newest) if one.newest else None}
        )
        for one in page.items
    ]
    stored = folders.stored_bytes_of(session, project.id)
    return Folders(folders=answers, stored_bytes=stored, next_cursor=page.next_cursor)


@router.post(
    FOLDERS, summary="Make a synced folder", operation_id="create_sync_folder", status_code=201
)
def create_folder(session: Session, project: Written, body: FolderBody) -> FolderAnswer:
    """Make an empty folder that machines push to and pull from."""
    folder = folders.create_folder(session, project, body.name, now=utc_now())
    return FolderAnswer.model_validate(folder)


@router.get(FOLDER, summary="One synced folder", operation_id="get_sync_folder")
def get_folder(session: Session, project: Viewed, folder: Folder) -> FolderAnswer:
    """A folder and its newest snapshot."""
    found = folders.get_folder(session, project, folder)
    answer = FolderAnswer.model_validate(found)
    if found.head:
        newest = snapshots.get_snapshot(session, found, found.head)
        answer.newest = SnapshotAnswer.model_validate(newest)
    return answer


@router.patch(FOLDER, summary="Change a synced folder", operation_id="change_sync_folder")
def change_folder(
    session: Session, project: Administered, folder: Folder, body: FolderSettingsBody
) -> FolderAnswer:
    """Say how many snapshots are kept; those that are too many go at once."""
    changed = folders.change_folder(
        session, project, folder, keep_snapshots=body.keep_snapshots, now=utc_now()
    )
    return FolderAnswer.model_validate(changed)


@router.delete(
    FOLDER, summary="Remove a synced folder", operation_id="remove_sync_folder", status_code=204
)
def remove_folder(session: Session, project: Administered, folder: Folder) -> None:
    """Remove a folder and its snapshots here. Machines keep their files."""
    folders.remove_folder(session, project, folder, now=utc_now())


@router.get(FOLDER + "/snapshots", summary="List snapshots", operation_id="list_sync_snapshots")
def list_snapshots(
    session: Session,
    project: Viewed,
    folder: Folder,
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> Snapshots:
    """The snapshots of a folder, newest first."""
    found = folders.get_folder(session, project, folder)
    page = snapshots.list_snapshots(session, found.id, limit=limit, cursor=cursor)
    answers = [SnapshotAnswer.model_validate(one) for one in page.items]
    return Snapshots(snapshots=answers, next_cursor=page.next_cursor)


@router.get(SNAPSHOT, summary="One snapshot", operation_id="get_sync_snapshot")
def get_snapshot(
    session: Session, project: Viewed, folder: Folder, snapshot: Number
) -> SnapshotAnswer:
    """What a snapshot holds, in numbers."""
    found = folders.get_folder(session, project, folder)
    return SnapshotAnswer.model_validate(snapshots.get_snapshot(session, found, snapshot))


@router.delete(
    SNAPSHOT, summary="Remove a snapshot", operation_id="remove_sync_snapshot", status_code=204
)
def remove_snapshot(
    session: Session, project: Administered, folder: Folder, snapshot: Number
) -> None:
    """Forget an older snapshot; what no other one has is let go some time later."""
    snapshots.remove_snapshot(session, project, folder, snapshot, now=utc_now())


@router.get(SNAPSHOT + "/entries", summary="List what is in it", operation_id="list_sync_entries")
def list_entries(  # noqa: PLR0913 - what can be asked
    project: Viewed,
    folder: Folder,
    snapshot: Number,
    *,
    q: Annotated[str, Query(max_length=200, description="In the path.")] = "",
    below: Annotated[str, Query(max_length=4000, description="Below this folder.")] = "",
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> Entries:
    """The files, links and empty folders of a snapshot by path."""
    entries = files.entries_at(project, folder, snapshot)
    page = files.list_entries(entries, text=q, below=below, limit=limit, cursor=cursor)
    answers = [EntryAnswer.model_validate(one) for one in page.items]
    return Entries(entries=answers, next_cursor=page.next_cursor)


@router.get(
    SNAPSHOT + "/manifest",
    summary="The whole tree",
    operation_id="get_sync_manifest",
    response_class=Response,
    responses={
        200: {
            "description": "All entries by path, with their chunks.",
            "content": {"application/json": {"schema": MANIFEST_SHAPE, "example": A_MANIFEST}},
        }
    },
)
def get_manifest(request: Request, project: Viewed, folder: Folder, snapshot: Number) -> Response:
    """All entries of a snapshot at once, as `mainstay sync` reads them; in gzip where that is read.

    What is left out has its default: a file of mode 420 (0644) without content.
    """
    with reading() as session:
        found = folders.get_folder(session, project, folder)
        chosen = snapshots.get_snapshot(session, found, snapshot)
    entries = snapshots.entries_of(project.id, chosen.id)
    told = {"number": snapshot, "digest": chosen.digest, "entries": entries}
    body, headers = msgspec.json.encode(told), {"vary": "accept-encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        body = gzip.compress(body, 1)
        headers["content-encoding"] = "gzip"
    return Response(body, media_type="application/json", headers=headers)


@router.get(
    SNAPSHOT + "/file",
    summary="Download a file",
    operation_id="download_sync_file",
    response_class=Response,
    responses={
        200: {
            "description": "The file.",
            "content": {BYTES: {"schema": {"type": "string"}, "example": "hello"}},
        }
    },
)
def download_file(
    project: Viewed, folder: Folder, snapshot: Number, path: FilePath = ""
) -> Response:
    """One file as it is in a snapshot, put together from its chunks."""
    entry = files.get_entry(files.entries_at(project, folder, snapshot), path)
    with reading() as session:
        return file_response(session, project, entry)


@router.post(
    FOLDER + "/restore",
    summary="Bring a file back",
    operation_id="restore_sync_file",
    status_code=201,
)
def restore_file(
    project: Written, caller: Asking, folder: Folder, body: RestoreBody
) -> SnapshotAnswer:
    """Make a new snapshot in which one entry is as it was in an older one."""
    snapshot = restoring.bring_back(
        project,
        folder,
        body.snapshot,
        body.path,
        made_by=caller.person_name,
        now=utc_now(),
    )
    return SnapshotAnswer.model_validate(snapshot)


@uploads.post(
    FOLDER + "/snapshots",
    summary="Push a snapshot",
    operation_id="push_sync_snapshot",
    status_code=201,
    openapi_extra=body_of(
        "application/json", PUSH_SHAPE, A_PUSH, "The difference to its parent; may be compressed."
    ),
)
async def push_snapshot(
    request: Request, project: Written, caller: Asking, folder: Folder
) -> SnapshotAnswer:
    """Record a new state of the folder. Its chunks must be there already.

    `digest` is the SHA-256 over the entries in the order of their paths: path, kind, mode,
    modifiedUs, size, target and the chunks joined by commas, each followed by a NUL. 409 with the
    code `folder-moved` says that another machine was quicker: pull first.
    """
    limit = of(SyncSettings).sync_manifest_mib * MIB
    body = await read_incoming(request.scope, request.receive, most_bytes=limit)
    return await run_in_threadpool(_push, project, caller, folder, body)


@router.post(
    CHUNKS + "/missing", summary="Ask which chunks lack", operation_id="find_missing_sync_chunks"
)
def find_missing(session: Session, project: Written, body: DigestsBody) -> MissingAnswer:
    """Which of these the project does not have; the others stay for the time of a push."""
    missing = chunks.list_missing(session, project.id, body.digests, now=utc_now())
    return MissingAnswer(missing=missing)


@router.get(
    CHUNKS,
    summary="Fetch chunks",
    operation_id="fetch_sync_chunks",
    response_class=Response,
    responses={
        200: {
            "description": "As many of them as fit into 8 MiB, in the order asked.",
            "content": {BYTES: {"schema": {"type": "string"}, "example": A_PART}},
        }
    },
)
def fetch_chunks(project: Viewed, digests: Digests) -> Response:
    """Chunks of this project by their digests, each after a line as it was sent."""
    with reading() as session:
        places = chunks.places_of(session, project.id, list(dict.fromkeys(digests.split(","))))
    found = chunks.read_places(project.id, chunks.first_places(places))
    return Response(b"".join(found), media_type=BYTES)


@uploads.post(
    CHUNKS,
    summary="Send chunks",
    operation_id="send_sync_chunks",
    status_code=201,
    openapi_extra=body_of(
        BYTES,
        {"type": "string"},
        A_PART,
        "Chunks of 4 MiB at most, together 9 MiB and 5,000 at most. Each follows a line with its"
        " SHA-256, its size, and how many bytes follow: one zstd frame, or the chunk as it is when"
        " both are the same.",
    ),
)
async def send_chunks(request: Request, project: Written) -> StoredAnswer:
    """Store chunks. Each is checked; those that are there already are passed over."""
    body = await read_incoming(request.scope, request.receive, most_bytes=LARGEST_PART_BYTES)
    return await run_in_threadpool(_store, project, body)


def file_response(session: Session, project: ProjectRef, entry: Entry) -> Response:
    """A file to be kept by the browser. Raises `Invalid` for what is no file."""
    if entry.kind is not Kind.FILE:
        raise Invalid(f"{entry.path[:200]!r} is a {entry.kind}; only files can be downloaded.")
    places = chunks.places_of(session, project.id, entry.chunks) if entry.chunks else []
    name = quote(entry.path.rsplit("/", 1)[-1], safe="")
    content: Iterator[bytes] = chunks.content_of(project.id, places)
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{name}",
        "content-length": str(entry.size),
    }
    return StreamingResponse(content, media_type=BYTES, headers=headers)


def _push(project: ProjectRef, caller: Caller, folder: str, body: bytes) -> SnapshotAnswer:
    push = snapshots.read_push(body)
    with reading() as session:
        before = snapshots.tree_at_head(session, project, folder, push.parent)
    draft = snapshots.draft_of(project, before, push)
    with snapshots.forgotten_if_refused(project, draft), transaction() as session:
        snapshot = snapshots.record_snapshot(
            session, project, folder, draft, made_by=caller.person_name, now=utc_now()
        )
        return SnapshotAnswer.model_validate(snapshot)


def _store(project: ProjectRef, body: bytes) -> StoredAnswer:
    """Check and store a part before the transaction begins, so that no writer waits for it."""
    records = chunks.read_part(body)
    with reading() as session:
        fresh = chunks.fresh_of(session, project.id, records)
    pack_id = chunks.put_pack(project.id, fresh) if fresh else ""
    now = utc_now()
    with transaction() as session:
        if fresh:
            chunks.record_pack(session, project.id, pack_id, fresh, now=now)
        chunks.find_chunks(session, project.id, (one.digest for one in records), now=now)
    return StoredAnswer(chunks=len(fresh), bytes=sum(len(one.raw) for one in fresh))


router.include_router(uploads)
