"""The secrets by which a project's servers read its policy, and what an instance's policy says."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.database import Base, Id

DEFAULT_BODY_BYTES = 10 * 1024 * 1024


class Mode(StrEnum):
    """`simulate` refuses nothing and reports what it would have refused."""

    ENFORCE = "enforce"
    SIMULATE = "simulate"


class GuardKey(Base):
    """Opens one project's policies and takes its reports; only a digest is kept."""

    __tablename__ = "guard_keys"

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    project_id: Mapped[str] = mapped_column(
        sa.ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(sa.String(100))
    hint: Mapped[str] = mapped_column(sa.String(20))
    digest: Mapped[str] = mapped_column(sa.String(64), unique=True)
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class GuardSettings(Base):
    """The general sections of an instance's policy; without a row the defaults hold."""

    __tablename__ = "guard_settings"

    instance_id: Mapped[Id] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), primary_key=True
    )
    mode: Mapped[Mode] = mapped_column(sa.String(10), default=Mode.ENFORCE)
    client: Mapped[dict[str, Any]]
    most_body_bytes: Mapped[int] = mapped_column(sa.BigInteger(), default=DEFAULT_BODY_BYTES)
    headers: Mapped[dict[str, Any]]
    cors: Mapped[dict[str, Any] | None]
    changed_at: Mapped[datetime]
