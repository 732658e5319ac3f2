"""People: signing in with a password, and changing it."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.contracts.tenancy import (
    PersonPasswordChanged,
    PersonSignedIn,
    PersonSignInRefused,
)
from mainstay_server.kernel.database import insert, new_id, rows_changed
from mainstay_server.kernel.events import say
from mainstay_server.kernel.limits import Bucket, Rate, bucket_key, microseconds, take
from mainstay_server.kernel.networks import network_of
from mainstay_server.kernel.problems import Conflict, Forbidden, TooManyRequests
from mainstay_server.tenancy.callers import Caller, speaking_as
from mainstay_server.tenancy.models import Membership, Organization, Person

from .fields import clean_email, clean_name
from .passwords import hash_password, is_outdated, is_password, refuse_weak
from .sessions import end_other_sessions, open_session

QUARTER_HOUR = 15 * 60
TRIES = Rate(10, QUARTER_HOUR, 10)
TRIES_OF_NETWORK = Rate(100, QUARTER_HOUR, 100)
TRIES_FOR_PERSON = Rate(200, QUARTER_HOUR, 200)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A person who may come in, and by what; `new_hash` when one should be kept in today's form."""

    person_id: str
    way: str = "password"
    new_hash: str = ""


@dataclass(frozen=True, kw_only=True)
class Newcomer:
    """Somebody who gets an account. The hash is made before, outside any transaction."""

    email: str
    name: str
    password_hash: str


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """What a new session's browser gets: the cookie's value, shown to nobody else."""

    person_id: str
    cookie: str


def check_password(
    session: Session, *, email: str, password: str, address: str, now: datetime
) -> Checked | None:
    """Whose address and password these are; None when they belong to nobody.

    An unknown address takes as long as a wrong password. A network has ten tries per person at once
    and ten more in 15 minutes, evenly; 100 in all; and a person's password 200 from anywhere, right
    ones included. Takes tens of milliseconds: never call it while writing.

    Raises:
        TooManyRequests: with the time to wait.
    """
    email = email.strip().lower()
    _count_try(email, address, now=now)
    person = session.scalar(sa.select(Person).where(Person.email == email))
    if not is_password(person.password_hash if person else "", password) or person is None:
        return None
    outdated = is_outdated(person.password_hash)
    return Checked(person_id=person.id, new_hash=hash_password(password) if outdated else "")


def sign_in(
    session: Session, checked: Checked, *, address: str, client: str, now: datetime
) -> SignedIn:
    """Open a session of a person whose password was right, in their oldest organization.

    Raises:
        Forbidden: the person is a member of no organization any more.
    """
    membership = session.scalar(
        sa.select(Membership)
        .where(Membership.person_id == checked.person_id)
        .order_by(Membership.created_at, Membership.id)
        .limit(1)
    )
    if membership is None:
        raise Forbidden("You are a member of no organization; ask an owner for an invitation.")
    person = session.get_one(Person, checked.person_id)
    if checked.new_hash:
        person.password_hash = checked.new_hash
    cookie = open_session(
        session,
        person_id=checked.person_id,
        organization_id=membership.organization_id,
        address=address,
        client=client,
        now=now,
    )
    event = PersonSignedIn(
        organization_id=membership.organization_id,
        person_id=person.id,
        email=person.email,
        way=checked.way,
    )
    with speaking_as(person):
        say(session, event, now=now)
    return SignedIn(person_id=checked.person_id, cookie=cookie)


def refuse_sign_in(session: Session, *, email: str, now: datetime) -> None:
    """Tell the person's organization that somebody tried; an address of nobody is not kept.

    Known and unknown addresses cost the same statements, so that the time tells nothing.
    """
    found = session.execute(
        sa.select(Membership.organization_id, Person.id, Person.email)
        .join(Person, Person.id == Membership.person_id)
        .where(Person.email == email.strip().lower())
        .order_by(Membership.created_at, Membership.id)
        .limit(1)
    ).one_or_none()
    first = session.scalar(sa.select(Organization.id).order_by(Organization.id).limit(1))
    organization_id, person_id, known_email = found or (first or "", "", "")
    event = PersonSignInRefused(
        organization_id=organization_id,
        person_id=person_id,
        email=known_email,
        reason="wrong password" if person_id else "unknown address",
    )
    say(session, event, now=now)


def create_person(session: Session, newcomer: Newcomer, *, now: datetime) -> Person:
    """Make an account.

    Raises:
        Conflict: the address has an account.
        Invalid: the address or name is none.
    """
    person_id = new_id()
    # Of two who claim one address at once, the unique address lets one in and refuses the other.
    if not rows_changed(
        session,
        insert(Person)
        .values(
            id=person_id,
            email=clean_email(newcomer.email),
            name=clean_name(newcomer.name),
            password_hash=newcomer.password_hash,
            created_at=now,
        )
        .on_conflict_do_nothing(),
    ):
        raise Conflict("This address has an account; sign in with it, then open the link again.")
    return session.get_one(Person, person_id)


def new_password_hash(
    session: Session, caller: Caller, *, current: str, new: str, address: str, now: datetime
) -> str:
    """The hash of a new password, after the present one was shown once more.

    Raises:
        Forbidden: the present password is wrong.
        Invalid: the new one is weak.
        TooManyRequests: too many tries.
    """
    refuse_weak(new, email=caller.person_email, field="newPassword")
    checked = check_password(
        session, email=caller.person_email, password=current, address=address, now=now
    )
    if checked is None:
        raise Forbidden("The present password is wrong; try again.")
    return hash_password(new)


def change_password(session: Session, caller: Caller, new_hash: str, *, now: datetime) -> None:
    """Keep a new password and end every other session of the person."""
    session.get_one(Person, caller.person_id).password_hash = new_hash
    end_other_sessions(session, caller, now=now)
    event = PersonPasswordChanged(
        organization_id=caller.organization_id,
        person_id=caller.person_id,
        email=caller.person_email,
    )
    say(session, event, now=now)


def _count_try(email: str, address: str, *, now: datetime) -> None:
    """Count a try by this network for this person, of this network, and for this person.

    It is one decision: what is refused is charged nowhere, and locks nobody else out. Without the
    two wider counts, one who tries a few passwords on many people, or comes from many places, would
    have as many tries as they like, each of which costs us a hash and a row.
    """
    network = network_of(address)
    counted = (
        (TRIES, f"{network}\n{email}"),
        (TRIES_OF_NETWORK, f"{network}\n"),
        (TRIES_FOR_PERSON, f"\n{email}"),
    )
    # Digests: who tried to be whom is nothing to be read in a store of counts.
    buckets = [
        Bucket(bucket_key("sign-in", rate, hashlib.sha256(whom.encode()).hexdigest()), rate)
        for rate, whom in counted
    ]
    verdict = take(buckets, now_us=microseconds(now))
    if not verdict.admitted:
        waiting_us = verdict.retry_after_us
        assert waiting_us is not None, "one try always fits"
        raise TooManyRequests(
            "Too many tries to sign in; wait before the next one.",
            retry_after_seconds=waiting_us / 1_000_000,
        )
