"""Buckets, what is in them, who uses how much, and links that are counted."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.database import Base, Id
from mainstay_server.kernel.sealing import SealedTexts
from mainstay_server.kernel.subjects import InstanceIds

CONFIG_PURPOSE = "storage bucket"
LONGEST_KEY = 1024
LONGEST_OWNER = 600

# Keys are compared and listed in the order of their code points, as S3 lists them.
KEY = sa.String(LONGEST_KEY).with_variant(sa.String(LONGEST_KEY, collation="C"), "postgresql")
OWNER = sa.String(LONGEST_OWNER).with_variant(sa.String(LONGEST_OWNER, collation="C"), "postgresql")


class Kind(StrEnum):
    """Where a bucket's bytes lie."""

    SERVER = "server"
    S3 = "s3"


class Status(StrEnum):
    """How far an object is; only what is stored is there for others."""

    RESERVED = "reserved"
    STORED = "stored"
    DELETED = "deleted"


class Bucket(Base):
    """A place for the files of an instance, with its limits; None is no limit.

    `link_generation` is part of every link that the server answers: raising it ends them all.
    `drift` is what the last listing put right.
    """

    __tablename__ = "storage_buckets"
    __table_args__ = (sa.UniqueConstraint("instance_id", "name"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    project_id: Mapped[str] = mapped_column(sa.String(36))
    instance_id: Mapped[str] = mapped_column(sa.ForeignKey("instances.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(sa.String(63))
    kind: Mapped[Kind] = mapped_column(sa.String(10))
    config: Mapped[dict[str, Any]] = mapped_column(SealedTexts(CONFIG_PURPOSE))
    shown: Mapped[str] = mapped_column(sa.String(300))
    quota_bytes: Mapped[int | None] = mapped_column(sa.BigInteger())
    quota_objects: Mapped[int | None] = mapped_column(sa.BigInteger())
    owner_quota_bytes: Mapped[int | None] = mapped_column(sa.BigInteger())
    owner_quota_objects: Mapped[int | None] = mapped_column(sa.BigInteger())
    max_object_bytes: Mapped[int] = mapped_column(sa.BigInteger())
    content_types: Mapped[list[str]]
    link_generation: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    reconciled_at: Mapped[datetime | None]
    drift: Mapped[dict[str, Any]]
    problem: Mapped[str] = mapped_column(sa.String(500), default="")
    problem_since: Mapped[datetime | None]

    @property
    def ids(self) -> InstanceIds:
        """Whose it is, for an event."""
        return {
            "organization_id": self.organization_id,
            "project_id": self.project_id,
            "instance_id": self.instance_id,
        }


class StoredObject(Base):
    """One file, from its reservation on. `place` is where its bytes lie in the store.

    `size_bytes` is what was reserved until it is stored, and what it has from then on. A deleted
    row is kept for a while to say why: `reason`.
    """

    __tablename__ = "storage_objects"
    __table_args__ = (
        sa.Index("ix_storage_objects_bucket_id_key", "bucket_id", "key"),
        sa.Index("ix_storage_objects_status_expires_at", "status", "expires_at"),
        sa.Index("ix_storage_objects_bucket_id_place", "bucket_id", "place"),
        sa.Index("ix_storage_objects_types", "bucket_id", "status", "content_type", "size_bytes"),
        sa.Index(
            "uq_storage_objects_stored",
            "bucket_id",
            "key",
            unique=True,
            sqlite_where=sa.text("status = 'stored'"),
            postgresql_where=sa.text("status = 'stored'"),
        ),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    bucket_id: Mapped[str] = mapped_column(sa.ForeignKey("storage_buckets.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(KEY)
    place: Mapped[str] = mapped_column(KEY)
    size_bytes: Mapped[int] = mapped_column(sa.BigInteger())
    content_type: Mapped[str] = mapped_column(sa.String(200))
    sha256: Mapped[str] = mapped_column(sa.String(64), default="")
    etag: Mapped[str] = mapped_column(sa.String(200), default="")
    status: Mapped[Status] = mapped_column(sa.String(10))
    reason: Mapped[str] = mapped_column(sa.String(300), default="")
    replaces: Mapped[bool] = mapped_column(default=False)
    upload_id: Mapped[str] = mapped_column(sa.String(500), default="")
    created_by: Mapped[str] = mapped_column(sa.String(80))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    stored_at: Mapped[datetime | None]
    seen_at: Mapped[datetime | None]


class Use(Base):
    """What an owner keeps and has reserved in a bucket; the owner "" is the whole bucket.

    An owner is the beginning of keys, up to three folders deep: `acme`, `acme/insight`,
    `acme/insight/ann`. Its own quota goes before the bucket's; `told_percent` is the highest
    warning that was said.
    """

    __tablename__ = "storage_uses"

    bucket_id: Mapped[str] = mapped_column(
        sa.ForeignKey("storage_buckets.id", ondelete="CASCADE"), primary_key=True
    )
    owner: Mapped[str] = mapped_column(OWNER, primary_key=True)
    used_bytes: Mapped[int] = mapped_column(sa.BigInteger(), default=0)
    used_objects: Mapped[int] = mapped_column(sa.BigInteger(), default=0)
    reserved_bytes: Mapped[int] = mapped_column(sa.BigInteger(), default=0)
    reserved_objects: Mapped[int] = mapped_column(sa.BigInteger(), default=0)
    quota_bytes: Mapped[int | None] = mapped_column(sa.BigInteger())
    quota_objects: Mapped[int | None] = mapped_column(sa.BigInteger())
    told_percent: Mapped[int] = mapped_column(default=0)


class Link(Base):
    """A download that is counted and can be revoked; `uses_left` None is as often as one likes."""

    __tablename__ = "storage_links"

    id: Mapped[Id] = mapped_column(primary_key=True)
    bucket_id: Mapped[str] = mapped_column(
        sa.ForeignKey("storage_buckets.id", ondelete="CASCADE"), index=True
    )
    object_id: Mapped[str] = mapped_column(sa.String(36), index=True)
    key: Mapped[str] = mapped_column(KEY)
    note: Mapped[str] = mapped_column(sa.String(200), default="")
    created_by: Mapped[str] = mapped_column(sa.String(80))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    revoked_at: Mapped[datetime | None]
    uses_left: Mapped[int | None]
    uses: Mapped[int] = mapped_column(default=0)
    last_used_at: Mapped[datetime | None]


class UseDay(Base):
    """What a bucket held at the end of a day (UTC), for its history."""

    __tablename__ = "storage_days"

    bucket_id: Mapped[str] = mapped_column(
        sa.ForeignKey("storage_buckets.id", ondelete="CASCADE"), primary_key=True
    )
    day: Mapped[str] = mapped_column(sa.String(10), primary_key=True)
    used_bytes: Mapped[int] = mapped_column(sa.BigInteger())
    used_objects: Mapped[int] = mapped_column(sa.BigInteger())
