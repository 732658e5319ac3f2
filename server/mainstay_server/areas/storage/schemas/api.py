"""Shapes of storage's API."""

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, Field

from mainstay_server.areas.storage.models import Kind
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.web import Limit
from mainstay_server.kernel.web.bodies import Answer, Body, Instant

MOST_BYTES = 2**53
LONGEST_SENT_KEY = 4096
LONGEST_CURSOR = 6000

_ID = "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
_KEY = "acme/insight/ann/report.pdf"
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

Cursor = Annotated[
    str, Query(max_length=LONGEST_CURSOR, description="`nextCursor` of the page before.")
]
NamedBucket = Annotated[
    str,
    Query(
        max_length=63,
        description="A bucket's id or name; may be left out if there is only one.",
        examples=["files"],
    ),
]
SentKey = Annotated[
    str, Query(max_length=LONGEST_SENT_KEY, description="A file's key.", examples=[_KEY])
]
Limited = int | None


class BucketLimits(Body):
    """What may be kept in a bucket; null is no limit."""

    quota_bytes: Limited = Field(None, ge=0, le=MOST_BYTES, examples=[10_737_418_240])
    quota_objects: Limited = Field(None, ge=0, le=MOST_BYTES, examples=[100_000])
    owner_quota_bytes: Limited = Field(None, ge=0, le=MOST_BYTES, examples=[104_857_600])
    owner_quota_objects: Limited = Field(None, ge=0, le=MOST_BYTES, examples=[1_000])
    max_object_bytes: int = Field(5 << 30, ge=1, le=MOST_BYTES, examples=[104_857_600])
    content_types: list[Annotated[str, Field(max_length=100)]] = Field(
        default_factory=list, max_length=50, examples=[["application/pdf", "image/*"]]
    )


class NewBucket(BucketLimits):
    """A bucket on this server, or one of a store with the API of S3 with its `config`."""

    name: str = Field(max_length=63, examples=["user-files"])
    kind: Kind = Field(Kind.SERVER, examples=["server"])
    config: dict[str, str] = Field(default_factory=dict, max_length=10, examples=[{}])


class BucketChanges(Body):
    """What is to be different; what is left out stays as it is."""

    name: str | None = Field(None, max_length=63, examples=["user-files"])
    config: dict[str, str] | None = Field(None, max_length=10)
    quota_bytes: Limited = Field(None, ge=0, le=MOST_BYTES, examples=[10_737_418_240])
    quota_objects: Limited = Field(None, ge=0, le=MOST_BYTES)
    owner_quota_bytes: Limited = Field(None, ge=0, le=MOST_BYTES)
    owner_quota_objects: Limited = Field(None, ge=0, le=MOST_BYTES)
    max_object_bytes: int | None = Field(None, ge=1, le=MOST_BYTES, examples=[104_857_600])
    content_types: list[Annotated[str, Field(max_length=100)]] | None = Field(None, max_length=50)


class OwnerQuota(Body):
    """What one owner may keep; null is the bucket's default again."""

    owner: str = Field(min_length=1, max_length=600, examples=["acme"])
    quota_bytes: Limited = Field(None, ge=0, le=MOST_BYTES, examples=[1_073_741_824])
    quota_objects: Limited = Field(None, ge=0, le=MOST_BYTES, examples=[10_000])


class HeldAnswer(Answer):
    """What an owner (or, as "", the bucket) holds, and how much of its limits that is."""

    owner: str = Field(examples=["acme"])
    used_bytes: int = Field(examples=[48_213])
    used_objects: int = Field(examples=[1])
    reserved_bytes: int = Field(examples=[0])
    reserved_objects: int = Field(examples=[0])
    limit_bytes: int | None = Field(examples=[104_857_600])
    limit_objects: int | None = Field(examples=[1_000])
    percent: float | None = Field(examples=[0.1])


class BucketAnswer(Answer):
    """A bucket. `shown` says where it is; credentials are never told.

    `drift` is what the last listing of the store put right.
    """

    id: str = Field(examples=[_ID])
    instance_id: str = Field(examples=[_ID])
    name: str = Field(examples=["user-files"])
    kind: Kind = Field(examples=["server"])
    shown: str = Field(examples=["this server's blob store"])
    quota_bytes: int | None = Field(examples=[10_737_418_240])
    quota_objects: int | None = Field(examples=[100_000])
    owner_quota_bytes: int | None = Field(examples=[104_857_600])
    owner_quota_objects: int | None = Field(examples=[1_000])
    max_object_bytes: int = Field(examples=[104_857_600])
    content_types: list[str] = Field(examples=[["application/pdf", "image/*"]])
    created_at: Instant
    reconciled_at: Instant | None
    drift: dict[str, Any] = Field(examples=[{"adopted": 0, "missing": 0}])
    problem: str = Field(examples=[""])
    used: HeldAnswer


class BucketsAnswer(Answer):
    """One page of buckets."""

    buckets: list[BucketAnswer]
    next_cursor: str | None = Field(None, examples=[None])


class UploadUrlBody(Body):
    """A file that is to come: under a `key`, or in the layout organization/product/person/filename.

    What is left out of the layout is the caller's own organization and person, and `files`. With a
    `size` no more is taken; without one 10 MiB are.
    """

    bucket: str = Field("", max_length=63, examples=["user-files"])
    key: str | None = Field(None, max_length=LONGEST_SENT_KEY)
    organization: str | None = Field(None, min_length=1, max_length=190, examples=["acme"])
    product: str | None = Field(None, min_length=1, max_length=190, examples=["insight"])
    person: str | None = Field(None, min_length=1, max_length=190, examples=["ann"])
    filename: str = Field("", max_length=1024, examples=["report.pdf"])
    content_type: str = Field("", max_length=190, examples=["application/pdf"])
    size: int | None = Field(None, ge=0, le=MOST_BYTES, examples=[48_213])
    sha256: str = Field("", max_length=64)
    replace: bool = Field(default=False, examples=[True])
    multipart: bool = False
    expires_in: int = Field(3600, examples=[3600])


class PartAnswer(Answer):
    """One part of a large upload: the bytes from `offset` on, put to its URL in this length."""

    number: int = Field(examples=[1])
    url: str = Field(examples=["https://s3.eu-central-1.amazonaws.com/files/…&partNumber=1&…"])
    offset: int = Field(examples=[0])
    size: int = Field(examples=[16_777_216])


class UploadUrlAnswer(Answer):
    """How the bytes are sent: `POST` a form of `fields` and then `file`, or `PUT` with `headers`.

    With `confirm`, the client says afterwards that it is done: `POST /api/v1/storage/files` with
    the `id`, and for `parts` the ETag of each.
    """

    id: str = Field(examples=[_ID])
    bucket: str = Field(examples=[_ID])
    key: str = Field(examples=[_KEY])
    method: Literal["POST", "PUT"] = Field(examples=["PUT"])
    url: str = Field(examples=["https://mainstay.example/api/v1/storage/object?link=AQEA…"])
    fields: dict[str, str] = Field(examples=[{}])
    headers: dict[str, str] = Field(examples=[{"content-type": "application/pdf"}])
    parts: list[PartAnswer] = Field(examples=[[]])
    max_bytes: int = Field(examples=[48_213])
    confirm: bool = Field(examples=[False])
    expires_at: Instant


class DownloadQuery(BaseModel):
    """A file to download."""

    key: str = Field(max_length=LONGEST_SENT_KEY, description="A file's key.", examples=[_KEY])
    bucket: str = Field(
        "", max_length=63, description="A bucket's id or name, if there are several."
    )
    expires_in: int = Field(
        3600,
        alias="expiresIn",
        description="For how many seconds, at most 604800 (seven days).",
        examples=[3600],
    )
    inline: bool = Field(
        default=False, description="Let a browser show what runs nothing.", examples=[False]
    )


class FilesQuery(BaseModel):
    """Which files to list."""

    bucket: str = Field(
        "", max_length=63, description="A bucket's id or name, if there are several."
    )
    prefix: str = Field(
        "", max_length=LONGEST_SENT_KEY, description="The beginning of keys.", examples=["acme/"]
    )
    q: str = Field("", max_length=200, description="A text in the key.", examples=["report"])
    folders: bool = Field(
        default=False, description="One level only, with its folders.", examples=[False]
    )
    limit: Limit = DEFAULT_PER_PAGE
    cursor: Cursor = ""


class CompleteBody(Body):
    """An upload of which everything was sent; `parts` has the ETags of its parts in order."""

    id: str = Field(min_length=1, max_length=36, examples=[_ID])
    parts: list[Annotated[str, Field(max_length=200)]] = Field(
        default_factory=list, max_length=1000
    )


class FileAnswer(Answer):
    """A file that is stored."""

    id: str = Field(examples=[_ID])
    bucket: str = Field(examples=[_ID])
    key: str = Field(examples=[_KEY])
    size: int = Field(examples=[48_213])
    content_type: str = Field(examples=["application/pdf"])
    sha256: str | None = Field(examples=[_SHA256])
    stored_at: Instant


class FolderAnswer(Answer):
    """What begins alike up to a slash; sizes are known three folders deep."""

    prefix: str = Field(examples=["acme/"])
    size: int | None = Field(examples=[48_213])
    files: int | None = Field(examples=[1])


class FilesAnswer(Answer):
    """One page of files; with `folders=true` also the folders of that level."""

    bucket: str = Field(examples=[_ID])
    files: list[FileAnswer]
    folders: list[FolderAnswer]
    next_cursor: str | None = Field(examples=[None])


class DeleteBody(Body):
    """Files to delete, at most 500."""

    bucket: str = Field("", max_length=63, examples=["user-files"])
    keys: list[Annotated[str, Field(max_length=LONGEST_SENT_KEY)]] = Field(
        min_length=1, max_length=500, examples=[[_KEY]]
    )


class DeletedAnswer(Answer):
    """What was deleted, and what was not there."""

    deleted: list[str] = Field(examples=[[_KEY]])
    missing: list[str] = Field(examples=[[]])


class DownloadUrlAnswer(Answer):
    """Where a file can be fetched until when."""

    url: str = Field(examples=["https://mainstay.example/api/v1/storage/object?link=AQIA…"])
    key: str = Field(examples=[_KEY])
    expires_at: Instant


class LinkBody(Body):
    """A download that is counted and can be revoked; `uses` 1 is a link for one time."""

    bucket: str = Field("", max_length=63, examples=["user-files"])
    key: str = Field(max_length=LONGEST_SENT_KEY, examples=[_KEY])
    expires_in: int = Field(3600, examples=[3600])
    uses: int | None = Field(None, ge=1, le=1_000_000, examples=[1])
    note: str = Field("", max_length=200, examples=["for the auditor"])
    inline: bool = False


class LinkAnswer(Answer):
    """A counted link; its URL is told once, when it is made."""

    id: str = Field(examples=[_ID])
    key: str = Field(examples=[_KEY])
    note: str = Field(examples=["for the auditor"])
    created_at: Instant
    expires_at: Instant
    revoked_at: Instant | None
    last_used_at: Instant | None
    uses: int = Field(examples=[0])
    uses_left: int | None = Field(examples=[1])


class NewLinkAnswer(LinkAnswer):
    """A counted link as it is made."""

    url: str = Field(examples=["https://mainstay.example/api/v1/storage/object?link=AQMA…"])


class LinksAnswer(Answer):
    """One page of links."""

    links: list[LinkAnswer]
    next_cursor: str | None = Field(examples=[None])


class TypeAnswer(Answer):
    """How much of a bucket is of one content type."""

    content_type: str = Field(examples=["application/pdf"])
    used_bytes: int = Field(examples=[48_213])
    used_objects: int = Field(examples=[1])


class DayAnswer(Answer):
    """What a bucket held at the end of a day (UTC)."""

    day: str = Field(examples=["2026-11-21"])
    used_bytes: int = Field(examples=[48_213])
    used_objects: int = Field(examples=[1])


class StatsAnswer(Answer):
    """What a bucket holds: in all, by type, by owner of the first folder, and day by day."""

    bucket: str = Field(examples=[_ID])
    total: HeldAnswer
    by_type: list[TypeAnswer]
    by_owner: list[HeldAnswer]
    by_day: list[DayAnswer]
