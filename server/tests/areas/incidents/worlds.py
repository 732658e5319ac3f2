"""Incidents as tests of this area make them, and alerts as they are said."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from mainstay_server.areas.incidents import area
from mainstay_server.areas.incidents.models import Incident, IncidentEntry, Severity
from mainstay_server.areas.incidents.service import incidents
from mainstay_server.areas.incidents.service.incidents import NewIncident
from mainstay_server.contracts.alerts import (
    AlertAcknowledged,
    AlertOpened,
    AlertResolved,
)
from mainstay_server.kernel.database import new_id, reading, transaction
from mainstay_server.kernel.events import Event, install_reactions, run_waiting, say
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.models import Membership, Person, Role
from sqlalchemy.orm import Session
from tests.world import a_project

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
DAY = timedelta(days=1)


def opened(session: Session, instance: InstanceRef, **wanted: Any) -> Incident:
    """An incident that somebody opened at noon."""
    now = wanted.pop("now", NOON)
    values: dict[str, Any] = {"title": "Payments time out", "severity": Severity.MAJOR} | wanted
    return incidents.open_incident(session, instance.project_id, NewIncident(**values), now=now)


def a_member(session: Session, instance: InstanceRef, name: str) -> str:
    """Somebody of the organization; returns their id."""
    person = Person(
        id=new_id(),
        email=f"{name.lower()}@ships.example",
        name=name,
        password_hash="",
        created_at=NOON,
    )
    session.add(person)
    session.flush()
    session.add(
        Membership(
            id=new_id(),
            organization_id=instance.organization_id,
            person_id=person.id,
            role=Role.MEMBER,
            created_at=NOON,
        )
    )
    session.flush()
    return person.id


class Harbour:
    """A project whose alerts are said as the area alerts says them, heard by incidents alone."""

    def __init__(self) -> None:
        install_reactions(area.reactions)
        self.now = NOON
        with transaction() as session:
            self.instance = a_project(session, now=NOON)

    def hear(self, event: Event) -> None:
        """Say it, and let it be heard."""
        with transaction() as session:
            say(session, event, now=self.now)
        run_waiting(now=self.now)

    def alert(
        self, title: str = "shop is down", *, severity: str = "critical", supersedes: str = ""
    ) -> str:
        """An alert opens now; returns its id."""
        alert_id = new_id()
        self.hear(
            AlertOpened(
                **self._facts(alert_id, title, severity),
                message="It answered 500.",
                opened_at=self.now,
                supersedes=supersedes,
            )
        )
        return alert_id

    def over(self, alert_id: str, *, superseded_by: str = "") -> None:
        """An alert is over now."""
        facts = self._facts(alert_id, "shop is down", "critical")
        self.hear(AlertResolved(**facts, resolved_at=self.now, superseded_by=superseded_by))

    def acknowledged(self, alert_id: str, name: str = "Ada") -> None:
        """Somebody takes an alert in hand now."""
        facts = self._facts(alert_id, "shop is down", "critical")
        self.hear(AlertAcknowledged(**facts, by=new_id(), name=name))

    def incidents(self) -> Sequence[Incident]:
        """All incidents, the oldest first."""
        with reading() as session:
            return session.scalars(sa.select(Incident).order_by(Incident.number)).all()

    def timeline(self, number: int = 1) -> list[str]:
        """What stands in the timeline of one, from the beginning."""
        with reading() as session:
            found = session.scalars(
                sa.select(IncidentEntry.title)
                .join(Incident)
                .where(Incident.number == number)
                .order_by(IncidentEntry.at, IncidentEntry.id)
            )
            return list(found)

    def _facts(self, alert_id: str, title: str, severity: str) -> dict[str, Any]:
        return {
            **self.instance.ids,
            "alert_id": alert_id,
            "type": "instance_down",
            "severity": severity,
            "title": title,
        }
