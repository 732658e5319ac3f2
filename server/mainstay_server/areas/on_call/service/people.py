"""The people of an organization, as schedules and policies name them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.kernel.problems import Invalid
from mainstay_server.tenancy.models import Membership, Person

MOST_PEOPLE = 2000
GONE = "somebody who left"


@dataclass(frozen=True, kw_only=True)
class Member:
    """One person of an organization."""

    id: str
    name: str
    email: str


@dataclass(frozen=True, kw_only=True)
class Hand:
    """Whose hand takes an alert, and by which way; `person_id` is "" of whoever reads a channel."""

    person_id: str
    name: str
    how: str


def members_of(session: Session, organization_id: str) -> dict[str, Member]:
    """The members of an organization by their id, in the order of their names; at most 2,000."""
    rows = session.execute(
        sa.select(Person.id, Person.name, Person.email)
        .join(Membership, Membership.person_id == Person.id)
        .where(Membership.organization_id == organization_id)
        .order_by(Person.name, Person.email)
        .limit(MOST_PEOPLE)
    )
    return {id_: Member(id=id_, name=name, email=email) for id_, name, email in rows}


def name_of(members: Mapping[str, Member], person_id: str) -> str:
    """What somebody is called; "" for nobody."""
    if not person_id:
        return ""
    found = members.get(person_id)
    return found.name if found else GONE


def refuse_strangers(session: Session, organization_id: str, person_ids: Iterable[str]) -> None:
    """Raise `Invalid` when somebody is no member of the organization."""
    members = members_of(session, organization_id)
    strange = [each for each in person_ids if each not in members]
    if strange:
        raise Invalid(
            f"{strange[0][:36]!r} is no member of the organization; GET /api/members lists them."
        )
