"""What is kept of synced folders: the folders, their snapshots, and where each chunk lies."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.database import Base, Id

DIGEST_BYTES = 32
KEPT_SNAPSHOTS = 100


class SyncFolder(Base):
    """One named folder of a project. `head` is the number of its newest snapshot, 0 without one."""

    __tablename__ = "sync_folders"
    __table_args__ = (sa.UniqueConstraint("project_id", "name"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(sa.String(64))
    head: Mapped[int] = mapped_column(default=0)
    keep_snapshots: Mapped[int] = mapped_column(default=KEPT_SNAPSHOTS)
    created_at: Mapped[datetime]
    pushed_at: Mapped[datetime | None]


class SyncSnapshot(Base):
    """One state of a folder. What is in it lies in the blob store, under the snapshot's id.

    `digest` is the SHA-256 of all its entries: two trees are the same when theirs are.
    """

    __tablename__ = "sync_snapshots"
    __table_args__ = (sa.UniqueConstraint("folder_id", "number"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    folder_id: Mapped[str] = mapped_column(sa.ForeignKey("sync_folders.id", ondelete="CASCADE"))
    number: Mapped[int]
    parent: Mapped[int]
    digest: Mapped[str] = mapped_column(sa.String(64))
    machine: Mapped[str] = mapped_column(sa.String(100))
    made_by: Mapped[str] = mapped_column(sa.String(200))
    files: Mapped[int]
    bytes: Mapped[int] = mapped_column(sa.BigInteger)
    added: Mapped[int]
    changed: Mapped[int]
    removed: Mapped[int]
    created_at: Mapped[datetime]


class SyncPack(Base):
    """One object of the blob store that holds chunks, one after the other, as they arrived."""

    __tablename__ = "sync_packs"
    __table_args__ = (sa.Index("ix_sync_packs_project", "project_id"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"))
    bytes: Mapped[int]
    created_at: Mapped[datetime]


class SyncChunk(Base):
    """Where a chunk lies. It belongs to one project: its digest opens nothing anywhere else.

    `seen_at` is when it arrived, or when a push was last told that it is here: from then on it is
    left alone for a while, whether or not a snapshot has it yet.
    """

    __tablename__ = "sync_chunks"
    __table_args__ = (sa.Index("ix_sync_chunks_pack", "pack_id"),)

    project_id: Mapped[Id] = mapped_column(
        sa.ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True
    )
    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(DIGEST_BYTES), primary_key=True)
    pack_id: Mapped[str] = mapped_column(sa.ForeignKey("sync_packs.id", ondelete="CASCADE"))
    offset: Mapped[int]
    stored_bytes: Mapped[int]
    bytes: Mapped[int]
    seen_at: Mapped[datetime]
