"""Maintenance: what is planned, as it was planned at each time, and windows that differ from it."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.contracts.maintenance import Scope
from mainstay_server.kernel.database import Base, Id

ANNOUNCE_MINUTES = 60


class Maintenance(Base):
    """Work that is planned once, or again and again.

    `next_due_at` is when the next thing has to be said of one of its windows, None when nothing
    will be. One that was removed stays, since its past windows still count.
    """

    __tablename__ = "maintenance"
    __table_args__ = (sa.Index("ix_maintenance_project", "project_id"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE")
    )
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(sa.String(100))
    description: Mapped[str] = mapped_column(sa.String(2000), default="")
    announce_minutes: Mapped[int] = mapped_column(default=ANNOUNCE_MINUTES)
    created_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]
    next_due_at: Mapped[datetime | None] = mapped_column(index=True)


class MaintenancePlan(Base):
    """When windows are and what they cover, for windows that begin while the plan is in force.

    A plan is never changed: another one follows it, so what has been stays as it was. It is in
    force from `valid_from` up to but not including `valid_until`. `starts_at` is the first start;
    `wall_start` is the same as clocks in `time_zone` show it, which is what `schedule` repeats.
    """

    __tablename__ = "maintenance_plans"
    __table_args__ = (sa.Index("ix_maintenance_plans_maintenance", "maintenance_id"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    maintenance_id: Mapped[str] = mapped_column(sa.ForeignKey("maintenance.id", ondelete="CASCADE"))
    schedule: Mapped[str] = mapped_column(sa.String(300), default="")
    starts_at: Mapped[datetime]
    wall_start: Mapped[str] = mapped_column(sa.String(19))
    time_zone: Mapped[str] = mapped_column(sa.String(60))
    duration_minutes: Mapped[int]
    instance_ids: Mapped[list[str]]
    tags: Mapped[list[str]]
    subject_ids: Mapped[list[str]]
    valid_from: Mapped[datetime]
    valid_until: Mapped[datetime | None]

    @property
    def duration(self) -> timedelta:
        """How long a window lasts, in real time."""
        return timedelta(minutes=self.duration_minutes)

    @property
    def scope(self) -> Scope:
        """What a window covers."""
        return Scope(
            instance_ids=frozenset(self.instance_ids),
            tags=frozenset(self.tags),
            subject_ids=frozenset(self.subject_ids),
        )


class ChangedWindow(Base):
    """A window of which more is known than its plan says: what was told of it, or that it moved.

    `planned_for` is the start that the plan gave it, which names it for good.
    """

    __tablename__ = "maintenance_windows"
    __table_args__ = (sa.UniqueConstraint("maintenance_id", "planned_for"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    maintenance_id: Mapped[str] = mapped_column(sa.ForeignKey("maintenance.id", ondelete="CASCADE"))
    plan_id: Mapped[str] = mapped_column(sa.ForeignKey("maintenance_plans.id", ondelete="CASCADE"))
    planned_for: Mapped[datetime]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    is_cancelled: Mapped[bool] = mapped_column(default=False)
    announced_at: Mapped[datetime | None]
    began_told_at: Mapped[datetime | None]
    ended_told_at: Mapped[datetime | None]
