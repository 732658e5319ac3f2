"""Plans of subjects, what they used in each period, and which reports were counted already."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.database import Base, Id


class QuotaSubject(Base):
    """Who is on which plan: an organization (`name` is ""), or an owner of a project's API keys.

    `scope_id` is the organization's or the project's id. Without a row the defaults hold.
    """

    __tablename__ = "quota_subjects"
    __table_args__ = (sa.UniqueConstraint("scope_id", "name"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    scope_id: Mapped[str] = mapped_column(sa.String(36))
    name: Mapped[str] = mapped_column(sa.String(200), default="")
    plan: Mapped[str] = mapped_column(sa.String(40))
    time_zone: Mapped[str] = mapped_column(sa.String(60), default="UTC")
    changed_at: Mapped[datetime]


class QuotaUse(Base):
    """What a subject used of a meter in one period; `told_percent` is the highest warning said."""

    __tablename__ = "quota_uses"
    __table_args__ = (sa.UniqueConstraint("scope_id", "name", "meter", "period_begins"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    scope_id: Mapped[str] = mapped_column(sa.String(36))
    name: Mapped[str] = mapped_column(sa.String(200), default="")
    meter: Mapped[str] = mapped_column(sa.String(60))
    period_begins: Mapped[datetime]
    used: Mapped[int] = mapped_column(sa.BigInteger(), default=0)
    told_percent: Mapped[int] = mapped_column(default=0)


class CountedBatch(Base):
    """A report whose use was counted, so that one that is sent again is not counted again."""

    __tablename__ = "quota_batches"

    instance_id: Mapped[Id] = mapped_column(primary_key=True)
    batch_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    counted_at: Mapped[datetime] = mapped_column(index=True)
