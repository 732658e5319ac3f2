"""Incidents: what people work on, what they joined to it, who does what, and what happened when."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mainstay_server.kernel.database import Base, Id


class Severity(StrEnum):
    """How much an incident hurts, in the words in which status pages tell it."""

    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for minor, 2 for critical."""
        return tuple(Severity).index(self)


class IncidentStatus(StrEnum):
    """How far people have come; a resolved one is over until it is opened again."""

    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"


class IncidentRole(StrEnum):
    """What one person is in charge of, after the Incident Command System; one of each at a time.

    Of responders there may be many: they are who is assigned without being in charge.
    """

    COMMANDER = "commander"
    COMMUNICATIONS = "communications"
    OPERATIONS = "operations"
    SCRIBE = "scribe"
    RESPONDER = "responder"


class EntryKind(StrEnum):
    """What a line of the timeline tells of."""

    OPENED = "opened"
    ACKNOWLEDGED = "acknowledged"
    STATUS = "status"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    CHANGED = "changed"
    PEOPLE = "people"
    NOTE = "note"
    ALERT_OPENED = "alert_opened"
    ALERT_ACKNOWLEDGED = "alert_acknowledged"
    ALERT_RESOLVED = "alert_resolved"
    ALERT_JOINED = "alert_joined"
    ALERT_LEFT = "alert_left"
    HEALTH = "health"
    REMEDIATION = "remediation"
    TOLD = "told"
    POSTMORTEM = "postmortem"


class Incident(Base):
    """One incident. `number` counts those of its project, from 1.

    `since` is when it was opened or last opened again; `open_ms` is how long it was open before
    that, and all of it once it is resolved. `last_alert_at` is when the last alert joined it by
    itself. `resolved_alone` says that its alerts ended it, which an alert may undo.
    """

    __tablename__ = "incidents"
    __table_args__ = (
        sa.UniqueConstraint("project_id", "number"),
        sa.Index("ix_incidents_instance_last_alert", "instance_id", "last_alert_at"),
        sa.Index("ix_incidents_project_opened", "project_id", "opened_at"),
        sa.Index("ix_incidents_resolved_at", "resolved_at"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(
        sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"))
    instance_id: Mapped[str | None] = mapped_column(
        sa.ForeignKey("instances.id", ondelete="SET NULL")
    )
    number: Mapped[int]
    title: Mapped[str] = mapped_column(sa.String(200))
    summary: Mapped[str] = mapped_column(sa.String(2000), default="")
    severity: Mapped[Severity] = mapped_column(sa.String(10))
    status: Mapped[IncidentStatus] = mapped_column(sa.String(15))
    automatic: Mapped[bool] = mapped_column(default=False)
    opened_at: Mapped[datetime]
    since: Mapped[datetime]
    open_ms: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    last_alert_at: Mapped[datetime]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_after_ms: Mapped[int | None] = mapped_column(sa.BigInteger)
    resolved_at: Mapped[datetime | None]
    resolved_alone: Mapped[bool] = mapped_column(default=False)
    changed_at: Mapped[datetime]

    @property
    def is_open(self) -> bool:
        """Whether people have it to work on."""
        return self.resolved_at is None


class IncidentAlert(Base):
    """An alert that is part of an incident, as it was when last heard of; of one incident only.

    `severity` is the alert's own word. One that a person joined did not open or keep it open.
    """

    __tablename__ = "incident_alerts"

    alert_id: Mapped[Id] = mapped_column(primary_key=True)
    incident_id: Mapped[str] = mapped_column(
        sa.ForeignKey("incidents.id", ondelete="CASCADE"), index=True
    )
    instance_id: Mapped[str] = mapped_column(sa.String(36))
    type: Mapped[str] = mapped_column(sa.String(60))
    severity: Mapped[str] = mapped_column(sa.String(20))
    title: Mapped[str] = mapped_column(sa.String(200))
    opened_at: Mapped[datetime]
    acknowledged_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    by_hand: Mapped[bool] = mapped_column(default=False)
    joined_at: Mapped[datetime]


class IncidentPerson(Base):
    """One person in one role of an incident."""

    __tablename__ = "incident_people"

    incident_id: Mapped[str] = mapped_column(
        sa.ForeignKey("incidents.id", ondelete="CASCADE"), primary_key=True
    )
    person_id: Mapped[str] = mapped_column(
        sa.ForeignKey("people.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    role: Mapped[IncidentRole] = mapped_column(sa.String(20), primary_key=True)
    since: Mapped[datetime]


class IncidentEntry(Base):
    """One line of the timeline. `body` is Markdown that a person wrote; `actor` is who it was.

    `at` is when it happened, not when it was heard of: late news stands where it belongs.
    """

    __tablename__ = "incident_entries"
    __table_args__ = (sa.Index("ix_incident_entries_incident_at", "incident_id", "at"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    incident_id: Mapped[str] = mapped_column(sa.ForeignKey("incidents.id", ondelete="CASCADE"))
    kind: Mapped[EntryKind] = mapped_column(sa.String(20))
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(sa.String(100), default="")
    title: Mapped[str] = mapped_column(sa.String(300))
    body: Mapped[str] = mapped_column(sa.String(10_000), default="")
    tone: Mapped[str] = mapped_column(sa.String(10), default="neutral")


class IncidentReport(Base):
    """Where an incident is told: the report of a status page, by its id there."""

    __tablename__ = "incident_reports"

    incident_id: Mapped[str] = mapped_column(
        sa.ForeignKey("incidents.id", ondelete="CASCADE"), primary_key=True
    )
    page_id: Mapped[str] = mapped_column(sa.String(36), primary_key=True)
    report_id: Mapped[str] = mapped_column(sa.String(36))


class Postmortem(Base):
    """What was learnt, in Markdown. `version` grows with every change, so that none is lost."""

    __tablename__ = "incident_postmortems"

    incident_id: Mapped[str] = mapped_column(
        sa.ForeignKey("incidents.id", ondelete="CASCADE"), primary_key=True
    )
    body: Mapped[str] = mapped_column(sa.String(100_000))
    version: Mapped[int] = mapped_column(default=1)
    changed_at: Mapped[datetime]
    changed_by: Mapped[str] = mapped_column(sa.String(100), default="")


class IncidentSettings(Base):
    """What somebody changed about when a project's alerts open incidents; without a row: defaults.

    `opens_from` is the least severity of an alert that opens one, or `never`.
    """

    __tablename__ = "incident_settings"

    project_id: Mapped[str] = mapped_column(
        sa.ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True
    )
    opens_from: Mapped[str] = mapped_column(sa.String(10))
    join_minutes: Mapped[int]
    resolves_alone: Mapped[bool]
    template: Mapped[str] = mapped_column(sa.String(20_000), default="")
    changed_at: Mapped[datetime]
