"""What apps ask: upload and download URLs, files, statistics (REQUIREMENTS O5)."""

from typing import Annotated

from fastapi import Query
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.storage.models import Bucket, StoredObject
from mainstay_server.areas.storage.schemas.api import (
    CompleteBody,
    DayAnswer,
    DeleteBody,
    DeletedAnswer,
    DownloadQuery,
    DownloadUrlAnswer,
    FileAnswer,
    FilesAnswer,
    FilesQuery,
    FolderAnswer,
    HeldAnswer,
    LinkBody,
    NamedBucket,
    NewLinkAnswer,
    PartAnswer,
    SentKey,
    StatsAnswer,
    TypeAnswer,
    UploadUrlAnswer,
    UploadUrlBody,
)
from mainstay_server.areas.storage.service import buckets, files, keys, links, statistics, uploads
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Role

router = Router(prefix="/api/v1/storage")

Reads = Annotated[Caller, access.organization(Role.VIEWER, about="project")]
Writes = Annotated[Caller, access.organization(Role.MEMBER, about="project")]
Days = Annotated[int, Query(ge=1, le=366, description="How many days back.", examples=[30])]


@router.post(
    "/upload-url",
    status_code=201,
    summary="Ask where to upload a file",
    operation_id="make_upload_url",
)
def make_upload_url(request: Request, caller: Writes, body: UploadUrlBody) -> UploadUrlAnswer:
    """Room is reserved and given back when the file has not come in time."""
    now = utc_now()
    wish = uploads.Wish(
        key=_key_of(body, caller),
        content_type=body.content_type,
        size_bytes=body.size,
        sha256=body.sha256,
        replace=body.replace,
        in_parts=body.multipart,
        seconds=body.expires_in,
    )
    made = uploads.make_upload(caller.organization_id, body.bucket, wish, by=caller.actor, now=now)
    offer, file = made.offer, made.file
    assert file.expires_at is not None, "what is reserved ends"
    return UploadUrlAnswer(
        id=file.id,
        bucket=made.bucket.id,
        key=file.key,
        method="POST" if offer.method == "POST" else "PUT",
        url=links.whole_url(base_url(request), offer.url),
        fields=dict(offer.fields),
        headers=dict(offer.headers),
        parts=[
            PartAnswer(number=p.number, url=p.url, offset=p.offset, size=p.size_bytes)
            for p in offer.parts
        ],
        max_bytes=file.size_bytes,
        confirm=buckets.direct_store_of(made.bucket) is not None,
        expires_at=file.expires_at,
    )


@router.get(
    "/download-url", summary="Ask where to download a file", operation_id="get_download_url"
)
def get_download_url(
    request: Request, session: Session, caller: Reads, asked: Annotated[DownloadQuery, Query()]
) -> DownloadUrlAnswer:
    """The URL works as often as one likes until it ends; at most seven days."""
    chosen = buckets.choose_bucket(session, caller.organization_id, asked.bucket)
    url, ends = files.make_download_url(
        session,
        chosen,
        asked.key,
        seconds=asked.expires_in,
        inline=asked.inline,
        now=utc_now(),
    )
    url = links.whole_url(base_url(request), url)
    return DownloadUrlAnswer(url=url, key=keys.clean_key(asked.key), expires_at=ends)


@router.post(
    "/download-url",
    status_code=201,
    summary="Make a link that is counted",
    operation_id="create_storage_link",
)
def create_link(
    request: Request, session: Session, caller: Writes, body: LinkBody
) -> NewLinkAnswer:
    """The link ends after so many uses, after its time, or when somebody revokes it."""
    now = utc_now()
    uploads.check_seconds(body.expires_in)
    bucket = buckets.choose_bucket(session, caller.organization_id, body.bucket)
    link = links.create_link(
        session,
        bucket,
        files.get_file(session, bucket, body.key),
        uses=body.uses,
        note=body.note,
        seconds=body.expires_in,
        by=caller.actor,
        now=now,
    )
    path = links.url_of(links.link_token(bucket, link, inline=body.inline))
    url = links.whole_url(base_url(request), path)
    told = {name: getattr(link, name) for name in NewLinkAnswer.model_fields if name != "url"}
    return NewLinkAnswer(**told, url=url)


@router.get("/files", summary="List files", operation_id="list_storage_files")
def list_storage_files(
    session: Session, caller: Reads, asked: Annotated[FilesQuery, Query()]
) -> FilesAnswer:
    """Files by key; with `folders=true` those of one level, and the folders there."""
    chosen = buckets.choose_bucket(session, caller.organization_id, asked.bucket)
    if asked.folders and not asked.q:
        listing = files.browse(
            session, chosen, prefix=asked.prefix, limit=asked.limit, cursor=asked.cursor
        )
        return FilesAnswer(
            bucket=chosen.id,
            files=[answer_of(file) for file in listing.files],
            folders=[
                FolderAnswer(prefix=each.prefix, size=each.used_bytes, files=each.used_objects)
                for each in listing.folders
            ],
            next_cursor=listing.next_cursor,
        )
    page = files.list_files(
        session,
        chosen,
        prefix=asked.prefix,
        search=asked.q,
        limit=asked.limit,
        cursor=asked.cursor,
    )
    return FilesAnswer(
        bucket=chosen.id,
        files=[answer_of(file) for file in page.items],
        folders=[],
        next_cursor=page.next_cursor,
    )


@router.post("/files", summary="Say that a file was sent", operation_id="complete_upload")
def complete_upload(caller: Writes, body: CompleteBody) -> FileAnswer:
    """What came is looked at: its size, content type and SHA-256. What is wrong is deleted."""
    file = uploads.finish_upload(caller.organization_id, body.id, body.parts, now=utc_now())
    return answer_of(file)


@router.delete("/files", summary="Delete a file", operation_id="remove_storage_file")
def remove_file(caller: Writes, key: SentKey, bucket: NamedBucket = "") -> DeletedAnswer:
    """Delete one file, and with it every link to it."""
    deleted, missing = files.remove_files(caller.organization_id, bucket, [key], now=utc_now())
    return DeletedAnswer(deleted=deleted, missing=missing)


@router.post("/files/delete", summary="Delete files", operation_id="remove_storage_files")
def remove_files(caller: Writes, body: DeleteBody) -> DeletedAnswer:
    """Delete up to 500 files, and with them every link to them."""
    deleted, missing = files.remove_files(
        caller.organization_id, body.bucket, body.keys, now=utc_now()
    )
    return DeletedAnswer(deleted=deleted, missing=missing)


@router.get("/stats", summary="What a bucket holds", operation_id="get_storage_stats")
def get_stats(
    session: Session, caller: Reads, bucket: NamedBucket = "", days: Days = 30
) -> StatsAnswer:
    """In all, by content type, by owner, and day by day."""
    chosen: Bucket = buckets.choose_bucket(session, caller.organization_id, bucket)
    return StatsAnswer(
        bucket=chosen.id,
        total=HeldAnswer.model_validate(statistics.total_of(session, chosen)),
        by_type=[TypeAnswer.model_validate(t) for t in statistics.types_of(session, chosen)],
        by_owner=[HeldAnswer.model_validate(o) for o in statistics.owners_of(session, chosen)],
        by_day=[
            DayAnswer.model_validate(day)
            for day in statistics.days_of(session, chosen, days=days, now=utc_now())
        ],
    )


def answer_of(file: StoredObject) -> FileAnswer:
    """A stored file as the API tells it."""
    assert file.stored_at is not None, "only what is stored is told"
    return FileAnswer(
        id=file.id,
        bucket=file.bucket_id,
        key=file.key,
        size=file.size_bytes,
        content_type=file.content_type,
        sha256=file.sha256 or None,
        stored_at=file.stored_at,
    )


def _key_of(body: UploadUrlBody, caller: Caller) -> str:
    if body.key is not None:
        return body.key
    return keys.key_of(
        body.organization or caller.organization_id,
        body.product or "files",
        body.person or caller.person_id,
        body.filename,
    )
