"""What is watched, and what is kept of it: spells of states, closed months, corrections."""

from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.clock import WAITS
from mainstay_server.kernel.database import Base, Id

from .states import State

OPEN = sa.text("ended_at IS NULL")
LONGEST_NAME = 100
LONGEST_REASON = 300


class Watchable:
    """The columns of whatever is watched: how it is, and what others were told of it.

    `watched_until` is how long what was last heard speaks for it. Once `silent_at` has passed
    without another word, everything after `watched_until` is unknown; None where silence is no
    fault of ours. Only functions of this package write what follows:

    `told_state` is what others were told last (a known state, `flapping`, or empty before the
    first), `differs_since` since when it has not been so, `tell_at` when to look again whether
    that is worth telling. `troubled_since` is when it stopped being healthy, as they were told.
    `flapping_since` is set while it goes back and forth too often to be told of each time.
    """

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE")
    )
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"))
    instance_id: Mapped[str] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(sa.String(LONGEST_NAME))
    tags: Mapped[list[str]] = mapped_column(default=list)
    tell_after_seconds: Mapped[int] = mapped_column(default=0)

    state: Mapped[State] = mapped_column(sa.String(12))
    state_since: Mapped[datetime]
    state_reason: Mapped[str] = mapped_column(sa.String(LONGEST_REASON), default="")
    watched_until: Mapped[datetime]
    silent_at: Mapped[datetime | None]

    told_state: Mapped[str] = mapped_column(sa.String(12), default="")
    differs_since: Mapped[datetime | None] = mapped_column(info=WAITS)
    tell_at: Mapped[datetime | None] = mapped_column(index=True, info=WAITS)
    troubled_since: Mapped[datetime | None]
    flapping_since: Mapped[datetime | None]

    @property
    def rhythm(self) -> timedelta:
        """How often it is heard of when all is well."""
        raise NotImplementedError


class RecordedSpell(Base):
    """A spell of one state, from its start up to but not including its end; open while it lasts.

    Spells of one subject follow each other without a gap or an overlap. They are the only truth
    about the past of whatever is watched, and end with its instance.
    """

    __tablename__ = "spells"
    __table_args__ = (
        sa.Index("ix_spells_subject_started", "subject_id", "started_at"),
        sa.Index(
            "uq_spells_open", "subject_id", unique=True, sqlite_where=OPEN, postgresql_where=OPEN
        ),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    subject_id: Mapped[str] = mapped_column(sa.String(36))
    instance_id: Mapped[str] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), index=True
    )
    state: Mapped[State] = mapped_column(sa.String(12))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(sa.String(LONGEST_REASON), default="")


class SpellMonth(Base):
    """A closed month of a subject (UTC): seconds per state outside of maintenance, frozen.

    It outlives the spells that it was added up from, and changes only by a correction.
    """

    __tablename__ = "spell_months"

    subject_id: Mapped[str] = mapped_column(sa.String(36), primary_key=True)
    month: Mapped[date] = mapped_column(primary_key=True)
    instance_id: Mapped[str] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), index=True
    )
    seconds: Mapped[dict[str, Any]]
    maintenance_seconds: Mapped[float]
    frozen_at: Mapped[datetime]


class SpellCorrection(Base):
    """What somebody said of a past range that was recorded differently, and what stood there."""

    __tablename__ = "spell_corrections"
    __table_args__ = (sa.Index("ix_spell_corrections_subject_made", "subject_id", "made_at"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    subject_id: Mapped[str] = mapped_column(sa.String(36))
    instance_id: Mapped[str] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="CASCADE"), index=True
    )
    state: Mapped[State] = mapped_column(sa.String(12))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(sa.String(LONGEST_REASON))
    before: Mapped[list[Any]]
    made_by: Mapped[str] = mapped_column(sa.String(200))
    made_at: Mapped[datetime]
