"""What a project chose: from which severity on alerts open incidents, and how they join."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from mainstay_server.areas.incidents.models import IncidentSettings, Severity
from mainstay_server.contracts.alerts import severities
from mainstay_server.contracts.incidents import IncidentSettingsChanged
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.problems import Invalid
from mainstay_server.tenancy.subjects import ProjectRef

from .incidents import lock_project

NEVER = "never"
OPENS_FROM = ("info", "low", "warning", "high", "critical", NEVER)
MOST_JOIN_MINUTES = 24 * 60
LONGEST_TEMPLATE = 20_000


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What holds for a project. `template` is of its postmortems, "" for the one that comes along.

    `resolves_alone`: one that alerts opened and nobody took up ends with its last alert.
    """

    opens_from: str = "critical"
    join_minutes: int = 30
    resolves_alone: bool = True
    template: str = ""

    @property
    def join_within(self) -> timedelta:
        """For how long after the last alert of an incident another of its instance joins it."""
        return timedelta(minutes=self.join_minutes)

    def opens_for(self, severity: str) -> bool:
        """Whether an alert of that severity opens an incident."""
        return self.opens_from != NEVER and _rank(severity) >= _rank(self.opens_from)


def choices_of(session: Session, project_id: str) -> Choices:
    """What holds for a project: what somebody chose, or the defaults."""
    row = session.get(IncidentSettings, project_id)
    if row is None:
        return Choices()
    return Choices(
        opens_from=row.opens_from,
        join_minutes=row.join_minutes,
        resolves_alone=row.resolves_alone,
        template=row.template,
    )


def are_chosen(session: Session, project_id: str) -> bool:
    """Whether somebody chose for a project, be it what holds anyway."""
    return session.get(IncidentSettings, project_id) is not None


def change_choices(
    session: Session, project: ProjectRef, changes: Mapping[str, Any], *, now: datetime
) -> Choices:
    """Choose otherwise from now on; what is left out stays. Raises `Invalid`."""
    lock_project(session, project.id)
    before = choices_of(session, project.id)
    after = Choices(**(asdict(before) | dict(changes)))
    if after.opens_from not in OPENS_FROM:
        raise Invalid("opensFrom is one of info, low, warning, high, critical and never.")
    if not 0 <= after.join_minutes <= MOST_JOIN_MINUTES:
        raise Invalid(f"joinMinutes is from 0 to {MOST_JOIN_MINUTES}, which is a day.")
    if len(after.template) > LONGEST_TEMPLATE:
        raise Invalid(f"A template has at most {LONGEST_TEMPLATE} characters.")
    if after == before and are_chosen(session, project.id):
        return after
    session.merge(IncidentSettings(project_id=project.id, **asdict(after), changed_at=now))
    session.flush()
    _say_changed(session, project, before, after, now=now)
    return after


def forget_choices(session: Session, project: ProjectRef, *, now: datetime) -> None:
    """Let the defaults hold again, as if nobody had chosen."""
    lock_project(session, project.id)
    row = session.get(IncidentSettings, project.id)
    if row is None:
        return
    before = choices_of(session, project.id)
    session.delete(row)
    session.flush()
    _say_changed(session, project, before, Choices(), now=now)


def _say_changed(
    session: Session, project: ProjectRef, before: Choices, after: Choices, *, now: datetime
) -> None:
    changes = changes_between(asdict(before), asdict(after))
    if changes:
        changed = IncidentSettingsChanged(
            organization_id=project.organization_id,
            project_id=project.id,
            name=project.name,
            changes=changes,
        )
        say(session, changed, now=now)


def severity_of(alert_severity: str) -> Severity:
    """How much an incident hurts that an alert of a severity opens."""
    rank = _rank(alert_severity)
    if rank >= severities.Severity.CRITICAL.rank:
        return Severity.CRITICAL
    return Severity.MAJOR if rank >= severities.Severity.WARNING.rank else Severity.MINOR


def _rank(alert_severity: str) -> int:
    """How much an alert's severity weighs; a word that is not known as much as a warning."""
    return (severities.find_severity(alert_severity) or severities.Severity.WARNING).rank
