"""Who does what in an incident: the roles, of which one person has each, and those who respond."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.incidents.models import (
    EntryKind,
    Incident,
    IncidentPerson,
    IncidentRole,
)
from mainstay_server.contracts.incidents import IncidentStaffed
from mainstay_server.kernel.events import say
from mainstay_server.kernel.problems import Conflict, NotFound
from mainstay_server.tenancy.models import Membership, Person
from mainstay_server.tenancy.service.members import find_member

from .states import about
from .timeline import write

MOST_RESPONDERS = 50
MOST_OFFERED = 500


@dataclass(frozen=True, kw_only=True)
class Staffed:
    """One person in one role."""

    person_id: str
    name: str
    role: IncidentRole
    since: datetime


def assign(
    session: Session, incident: Incident, role: IncidentRole, person_id: str, *, now: datetime
) -> None:
    """Give a role to a member; whoever had it has it no more. Responders stand beside each other.

    Raises:
        NotFound: the person is no member of the organization.
        Conflict: the incident has 50 responders.
    """
    found = find_member(session, incident.organization_id, person_id)
    if found is None:
        raise NotFound("personId is no member of the organization; GET /api/members lists them.")
    present = session.scalars(
        sa.select(IncidentPerson).where(
            IncidentPerson.incident_id == incident.id, IncidentPerson.role == role
        )
    ).all()
    if any(one.person_id == person_id for one in present):
        return
    before = None
    if role is not IncidentRole.RESPONDER:
        before = present[0].person_id if present else None
        session.execute(
            sa.delete(IncidentPerson).where(
                IncidentPerson.incident_id == incident.id, IncidentPerson.role == role
            )
        )
    elif len(present) >= MOST_RESPONDERS:
        raise Conflict(f"An incident has at most {MOST_RESPONDERS} responders.")
    session.add(IncidentPerson(incident_id=incident.id, person_id=person_id, role=role, since=now))
    session.flush()
    name = found[1].name
    is_in_charge = role is not IncidentRole.RESPONDER
    title = f"{name} is {role} now" if is_in_charge else f"{name} responds"
    write(session, incident, EntryKind.PEOPLE, title, at=now)
    said = IncidentStaffed(**about(incident), changes={role.value: (before, person_id)})
    say(session, said, now=now)


def give_up(
    session: Session, incident: Incident, role: IncidentRole, person_id: str, *, now: datetime
) -> None:
    """Take a role from a person. Raises `NotFound` when they do not have it."""
    present = session.get(IncidentPerson, (incident.id, person_id, role))
    if present is None:
        raise NotFound("Nobody of that id has this role; GET the incident to see who has which.")
    session.delete(present)
    session.flush()
    name = session.get_one(Person, person_id).name
    is_in_charge = role is not IncidentRole.RESPONDER
    title = f"{name} is {role} no more" if is_in_charge else f"{name} responds no more"
    write(session, incident, EntryKind.PEOPLE, title, at=now)
    said = IncidentStaffed(**about(incident), changes={role.value: (person_id, None)})
    say(session, said, now=now)


def holder_of(session: Session, incident: Incident, role: IncidentRole) -> str | None:
    """Who has a role that one person has; None when nobody does."""
    return session.scalar(
        sa.select(IncidentPerson.person_id).where(
            IncidentPerson.incident_id == incident.id, IncidentPerson.role == role
        )
    )


def people_of(session: Session, incident_ids: Sequence[str]) -> Mapping[str, Sequence[Staffed]]:
    """Who does what in each incident, roles in their order, then responders by when they came."""
    rows = session.execute(
        sa.select(IncidentPerson, Person.name)
        .join(Person, Person.id == IncidentPerson.person_id)
        .where(IncidentPerson.incident_id.in_(incident_ids))
        .order_by(IncidentPerson.since, IncidentPerson.person_id)
    )
    found: dict[str, list[Staffed]] = {incident_id: [] for incident_id in incident_ids}
    for row, name in rows:
        staffed = Staffed(
            person_id=row.person_id, name=name, role=IncidentRole(row.role), since=row.since
        )
        found[row.incident_id].append(staffed)
    order = tuple(IncidentRole)
    for people in found.values():
        people.sort(key=lambda one: order.index(one.role))
    return found


def offered_people(session: Session, organization_id: str) -> Sequence[tuple[str, str]]:
    """Members that may be chosen, by name: their ids and names; at most 500."""
    rows = session.execute(
        sa.select(Person.id, Person.name)
        .join(Membership, Membership.person_id == Person.id)
        .where(Membership.organization_id == organization_id)
        .order_by(Person.name, Person.id)
        .limit(MOST_OFFERED)
    )
    return [(person_id, name) for person_id, name in rows]
