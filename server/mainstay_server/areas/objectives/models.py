"""Objectives, how each stands, and the sums of requests that those about requests are judged by."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.database import Base, Id


class Kind(StrEnum):
    """What is promised: that it answers well, or that it answers fast."""

    AVAILABILITY = "availability"
    LATENCY = "latency"


class Source(StrEnum):
    """By what it is judged: the spells of something watched, or the requests that were served."""

    WATCHED = "watched"
    REQUESTS = "requests"


class Period(StrEnum):
    """Over what the budget is counted: so many days back from now, or the calendar month (UTC)."""

    WEEK = "7d"
    FOUR_WEEKS = "28d"
    THIRTY_DAYS = "30d"
    MONTH = "month"


class Status(StrEnum):
    """How the budget stands."""

    OK = "ok"
    AT_RISK = "at_risk"
    EXHAUSTED = "exhausted"


class Objective(Base):
    """A promise that can be counted. `threshold_ms` is 0 but for the latency of requests.

    `burning` holds, by the hours of its long window, when each rule fired and whether it still
    does. `summed_until` is up to when requests are summed up in hours.
    """

    __tablename__ = "objectives"
    __table_args__ = (sa.Index("ix_objectives_project", "project_id"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE")
    )
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"))
    instance_id: Mapped[str] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(sa.String(100))
    kind: Mapped[Kind] = mapped_column(sa.String(20))
    source: Mapped[Source] = mapped_column(sa.String(20))
    subject_id: Mapped[str] = mapped_column(sa.String(36), default="")
    route: Mapped[str] = mapped_column(sa.String(500), default="")
    threshold_ms: Mapped[int] = mapped_column(default=0)
    target_percent: Mapped[float]
    period: Mapped[Period] = mapped_column(sa.String(10))
    created_at: Mapped[datetime]

    status: Mapped[Status] = mapped_column(sa.String(10), default=Status.OK)
    judged_at: Mapped[datetime | None] = mapped_column(index=True)
    budget_left: Mapped[float | None]
    burning: Mapped[dict[str, Any]]
    summed_until: Mapped[datetime | None]


class ObjectiveHour(Base):
    """The requests of one hour as an objective counts them, outside of maintenance."""

    __tablename__ = "objective_hours"

    objective_id: Mapped[str] = mapped_column(
        sa.ForeignKey("objectives.id", ondelete="CASCADE"), primary_key=True
    )
    begins_at: Mapped[datetime] = mapped_column(primary_key=True)
    total: Mapped[int] = mapped_column(sa.BigInteger)
    bad: Mapped[int] = mapped_column(sa.BigInteger)
