"""The log of each organization: its rows, the tree over them, and what was signed of it."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.database import Base, Id

NOTHING_BEFORE = "0" * 64


class AuditLog(Base):
    """The end of one organization's log, which whoever appends holds locked.

    `whole` are the roots of the whole subtrees of all rows so far, the greatest first; `head` is
    the hash of the last row. `signed_size` rows are in the newest checkpoint, `removed_size` were
    removed by retention. The last three say what the latest verification found, and when.
    """

    __tablename__ = "audit_logs"

    organization_id: Mapped[Id] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(sa.BigInteger(), default=0)
    head: Mapped[str] = mapped_column(sa.String(64), default=NOTHING_BEFORE)
    whole: Mapped[list[str]]
    signed_size: Mapped[int] = mapped_column(sa.BigInteger(), default=0)
    removed_size: Mapped[int] = mapped_column(sa.BigInteger(), default=0)
    verified_at: Mapped[datetime | None]
    verified_size: Mapped[int] = mapped_column(sa.BigInteger(), default=0)
    faults: Mapped[list[str]]


class AuditRow(Base):
    """One action. `body` is the row itself, byte for byte as it was hashed (RFC 8785).

    The other columns repeat parts of it, to find rows by; verification compares them with it. There
    is no foreign key: the log outlives what it tells of.
    """

    __tablename__ = "audit_rows"
    __table_args__ = (
        sa.Index("ix_audit_rows_project", "project_id", "position"),
        sa.Index("ix_audit_rows_at", "organization_id", "at"),
    )

    organization_id: Mapped[Id] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(sa.BigInteger(), primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(sa.String(50))
    who: Mapped[str] = mapped_column(sa.String(400))
    action: Mapped[str] = mapped_column(sa.String(120))
    target_id: Mapped[str] = mapped_column(sa.String(200))
    project_id: Mapped[str] = mapped_column(sa.String(36))
    instance_id: Mapped[str] = mapped_column(sa.String(36))
    hash: Mapped[str] = mapped_column(sa.String(64))
    body: Mapped[str] = mapped_column(sa.Text())


class AuditSubtree(Base):
    """The root of a whole subtree of 256, 65,536 … rows, so that no proof reads more than that.

    `height` is the number of levels below it, `place` counts the subtrees of that height from 0.
    """

    __tablename__ = "audit_subtrees"

    organization_id: Mapped[Id] = mapped_column(primary_key=True)
    height: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    place: Mapped[int] = mapped_column(sa.BigInteger(), primary_key=True, autoincrement=False)
    hash: Mapped[str] = mapped_column(sa.String(64))


class AuditCheckpoint(Base):
    """A signed note of the tree at one size (C2SP tlog-checkpoint)."""

    __tablename__ = "audit_checkpoints"

    organization_id: Mapped[Id] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(sa.BigInteger(), primary_key=True, autoincrement=False)
    note: Mapped[str] = mapped_column(sa.Text())
    signed_at: Mapped[datetime]


class AuditRemoval(Base):
    """A signed note of what retention removed: all rows up to `last`, and the tree they were.

    `whole` are the subtrees that the note tells of, which later proofs build on.
    """

    __tablename__ = "audit_removals"

    organization_id: Mapped[Id] = mapped_column(primary_key=True)
    last: Mapped[int] = mapped_column(sa.BigInteger(), primary_key=True, autoincrement=False)
    whole: Mapped[list[str]]
    note: Mapped[str] = mapped_column(sa.Text())
    removed_at: Mapped[datetime]


class AuditDestination(Base):
    """Where an organization's checkpoints go, and how the latest try went."""

    __tablename__ = "audit_destinations"

    organization_id: Mapped[Id] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    size: Mapped[int] = mapped_column(sa.BigInteger(), default=0)
    reached_at: Mapped[datetime | None]
    error: Mapped[str] = mapped_column(sa.String(500), default="")


def unlogged(organization_id: str) -> dict[str, Any]:
    """The columns of a log that has no row yet."""
    return {
        "organization_id": organization_id,
        "size": 0,
        "head": NOTHING_BEFORE,
        "whole": [],
        "signed_size": 0,
        "removed_size": 0,
        "verified_size": 0,
        "faults": [],
    }
