"""What documents made, and when each was applied."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.database import Base, Id


class ConfigurationClaim(Base):
    """A thing of a project that a document holds; `owner` is the document's name for itself.

    Only its own document prunes it, and another one may not change it.
    """

    __tablename__ = "configuration_claims"
    __table_args__ = (sa.UniqueConstraint("project_id", "kind", "thing_id"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(sa.String(40))
    thing_id: Mapped[str] = mapped_column(sa.String(80))
    owner: Mapped[str] = mapped_column(sa.String(100))
    claimed_at: Mapped[datetime]


class ConfigurationApplied(Base):
    """One time that a document was applied: by whom, and how many things it made and changed."""

    __tablename__ = "configuration_applied"
    __table_args__ = (sa.Index("ix_configuration_applied_newest", "project_id", "applied_at"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"))
    owner: Mapped[str] = mapped_column(sa.String(100))
    applied_at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(sa.String(80))
    actor_name: Mapped[str] = mapped_column(sa.String(200))
    created: Mapped[int]
    changed: Mapped[int]
    removed: Mapped[int]
    unchanged: Mapped[int]
