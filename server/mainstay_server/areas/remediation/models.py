"""Remediation: what may be done by itself, and each time that it was."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.clock import WAITS
from mainstay_server.kernel.database import Base, Id
from mainstay_server.kernel.sealing import SealedText, SealedTexts


class ActionKind(StrEnum):
    """How an action reaches what it puts right."""

    WEBHOOK = "webhook"
    COMMAND = "command"


class RunState(StrEnum):
    """How far a run is. `limited` and `dry` did nothing; `healed` ended with its alert.

    `waiting` is for a probe that fetches a command, `pausing` is between two tries.
    """

    WAITING = "waiting"
    PAUSING = "pausing"
    RUNNING = "running"
    VERIFYING = "verifying"
    HEALED = "healed"
    FAILED = "failed"
    LIMITED = "limited"
    DRY = "dry"


UNFINISHED = (RunState.WAITING, RunState.PAUSING, RunState.RUNNING, RunState.VERIFYING)
OPEN = sa.text("state IN ('waiting', 'pausing', 'running', 'verifying')")


class RemediationAction(Base):
    """Something that somebody allowed to be done by itself, for alerts that fit its matchers.

    `config` has the URL of a webhook, or the name of a command and its probe's: never the command.
    `automatic` ones start when an alert opens, the others when an escalation or a person asks.
    """

    __tablename__ = "remediation_actions"
    __table_args__ = (sa.UniqueConstraint("project_id", "name"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(sa.String(60))
    kind: Mapped[ActionKind] = mapped_column(sa.String(10))
    config: Mapped[dict[str, Any]] = mapped_column(SealedTexts("remediation_actions.config"))
    secret: Mapped[str] = mapped_column(SealedText("remediation_actions.secret"), default="")
    probe_id: Mapped[str] = mapped_column(sa.String(36), default="", index=True)
    matchers: Mapped[str] = mapped_column(sa.String(2000))
    automatic: Mapped[bool] = mapped_column(default=False)
    enabled: Mapped[bool] = mapped_column(default=True)
    dry_run: Mapped[bool] = mapped_column(default=False)
    most_tries: Mapped[int]
    pause_seconds: Mapped[int]
    verify_seconds: Mapped[int]
    cooldown_seconds: Mapped[int]
    created_at: Mapped[datetime]


class RemediationRun(Base):
    """One alert that an action is to put right, over all of its tries; one at a time of a pair.

    `due_at` is when the next step is to be taken: a try, or giving up on what runs or is verified.
    """

    __tablename__ = "remediation_runs"
    __table_args__ = (
        sa.Index(
            "uq_remediation_runs_open",
            "action_id",
            "alert_id",
            unique=True,
            sqlite_where=OPEN,
            postgresql_where=OPEN,
        ),
        sa.Index("ix_remediation_runs_state_due", "state", "due_at"),
        sa.Index("ix_remediation_runs_project_started", "project_id", "started_at"),
        sa.Index("ix_remediation_runs_alert", "alert_id"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    action_id: Mapped[str] = mapped_column(
        sa.ForeignKey("remediation_actions.id", ondelete="CASCADE"), index=True
    )
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"))
    instance_id: Mapped[str] = mapped_column(sa.String(36))
    alert_id: Mapped[str] = mapped_column(sa.String(36))
    alert_title: Mapped[str] = mapped_column(sa.String(200))
    state: Mapped[RunState] = mapped_column(sa.String(10))
    tries: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime | None] = mapped_column(info=WAITS)
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(sa.String(500), default="")


class RemediationTry(Base):
    """One try of a run: when, whether it went through, and the end of what it said."""

    __tablename__ = "remediation_tries"
    __table_args__ = (sa.UniqueConstraint("run_id", "number"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(sa.ForeignKey("remediation_runs.id", ondelete="CASCADE"))
    number: Mapped[int]
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    went_through: Mapped[bool | None]
    said: Mapped[str] = mapped_column(sa.String(4000), default="")


class RemediationPlace(Base):
    """A probe that runs commands: the names that its own file allows, and when it last asked."""

    __tablename__ = "remediation_places"

    probe_id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    commands: Mapped[list[str]]
    asked_at: Mapped[datetime]
