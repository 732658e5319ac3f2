"""Who is kept out until when and why, and how an instance looks for abuse."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.database import Base, Id


class Mode(StrEnum):
    """`simulate` finds and tells, and bans nobody; it is where everybody starts."""

    OFF = "off"
    SIMULATE = "simulate"
    ENFORCE = "enforce"


class Ban(Base):
    """One network that is kept out; a simulated one keeps nobody out and shows what would be.

    `level` counts the earlier bans of the same network in thirty days: each lasts longer.
    """

    __tablename__ = "bans"
    __table_args__ = (sa.Index("ix_bans_instance_until", "instance_id", "until"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    instance_id: Mapped[str] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), index=True
    )
    network: Mapped[str] = mapped_column(sa.String(50))
    rule: Mapped[str] = mapped_column(sa.String(40))
    reason: Mapped[str] = mapped_column(sa.String(300))
    evidence: Mapped[dict[str, Any]]
    simulated: Mapped[bool] = mapped_column(default=False)
    level: Mapped[int] = mapped_column(default=0)
    starts_at: Mapped[datetime]
    until: Mapped[datetime]
    lifted_at: Mapped[datetime | None]
    lifted_because: Mapped[str] = mapped_column(sa.String(200), default="")


class AbuseSettings(Base):
    """How one instance looks for abuse; without a row the defaults hold."""

    __tablename__ = "abuse_settings"

    instance_id: Mapped[Id] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), primary_key=True
    )
    mode: Mapped[Mode] = mapped_column(sa.String(10), default=Mode.SIMULATE)
    thresholds: Mapped[dict[str, Any]]
    changed_at: Mapped[datetime]
