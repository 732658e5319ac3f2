"""Probes elsewhere: added with a credential of their own, refused at once when removed, missed."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks.models import CheckPlace, HealthCheck, Probe
from mainstay_server.areas.health_checks.schemas.probes import NewProbe
from mainstay_server.contracts.health_checks import (
    HealthProbeCreated,
    HealthProbeEvent,
    HealthProbeRemoved,
    ProbeChanged,
    ProbeReturned,
    ProbeSeen,
    ProbeWentSilent,
)
from mainstay_server.kernel.credentials import is_well_formed, new_credential
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.problems import Conflict, NotFound, Unauthenticated

from .places import forget_location

PREFIX = "mst_probe_"
HINT_CHARACTERS = len(PREFIX) + 4
MOST_PROBES = 50
SILENT_AFTER = timedelta(seconds=90)
SEEN_EVERY = timedelta(seconds=10)
FACTS = ("name", "location")
REFUSED = "This probe is not known (any more); add one and start it with its new token."


def add_probe(
    session: Session, organization_id: str, wanted: NewProbe, *, now: datetime
) -> tuple[Probe, str]:
    """Make a probe and its credential, which nobody can show again.

    Raises `Conflict` where the location has one already, and beyond 50.
    """
    probes = list_probes(session, organization_id)
    if len(probes) >= MOST_PROBES:
        raise Conflict(f"An organization has at most {MOST_PROBES} probes; remove one.")
    if any(probe.location == wanted.location for probe in probes):
        raise Conflict(f"{wanted.location} has a probe already; remove it, or name another place.")
    credential = new_credential(PREFIX)
    probe = Probe(
        id=new_id(),
        organization_id=organization_id,
        name=wanted.name,
        location=wanted.location,
        credential_hash=_hash(credential),
        credential_hint=f"{credential[:HINT_CHARACTERS]}…",
        made_at=now,
    )
    session.add(probe)
    session.flush()
    _say(session, HealthProbeCreated, probe, before={}, after=facts_of(probe, FACTS), now=now)
    return probe, credential


def list_probes(session: Session, organization_id: str) -> Sequence[Probe]:
    """The probes of an organization by location, at most 50."""
    return session.scalars(
        sa.select(Probe)
        .where(Probe.organization_id == organization_id)
        .order_by(Probe.location, Probe.id)
    ).all()


def get_probe(session: Session, organization_id: str, probe_id: str) -> Probe:
    """The probe of that organization; raises `NotFound`."""
    probe = session.scalar(
        sa.select(Probe).where(Probe.id == probe_id, Probe.organization_id == organization_id)
    )
    if probe is None:
        raise NotFound("There is no such probe; GET /api/probes lists yours.")
    return probe


def remove_probe(session: Session, probe: Probe, *, now: datetime) -> None:
    """Refuse a probe from now on; what only it asked is asked from here."""
    _say(session, HealthProbeRemoved, probe, before=facts_of(probe, FACTS), after={}, now=now)
    if probe.silent_since is not None:
        _say_of_projects(session, ProbeReturned, probe, since=now, now=now)
    session.delete(probe)
    session.flush()
    forget_location(session, probe.organization_id, probe.location)


def authenticate(session: Session, authorization: str) -> Probe:
    """The probe whose credential this is. Raises `Unauthenticated`."""
    scheme, _, credential = authorization.partition(" ")
    credential = credential.strip()
    if scheme.lower() != "bearer" or not is_well_formed(credential, PREFIX):
        raise Unauthenticated("Send the probe's token as `Authorization: Bearer mst_probe_…`.")
    probe = session.scalar(sa.select(Probe).where(Probe.credential_hash == _hash(credential)))
    if probe is None:
        raise Unauthenticated(REFUSED)
    return probe


def seen_behind(session: Session, authorization: str) -> ProbeSeen:
    """The same, as other areas may see it."""
    return _seen(authenticate(session, authorization))


def list_seen(session: Session, organization_id: str) -> Sequence[ProbeSeen]:
    """The probes of an organization, as other areas may see them."""
    return [_seen(probe) for probe in list_probes(session, organization_id)]


def note_seen(session: Session, probe: Probe, *, now: datetime, version: str = "") -> None:
    """A probe was heard of just now; if it was missed, that is over, which is said once."""
    lately = probe.last_seen_at is not None and now - probe.last_seen_at < SEEN_EVERY
    news = version not in ("", probe.version)
    if lately and not news and probe.silent_since is None:
        return
    locked = session.get(Probe, probe.id, with_for_update=True, populate_existing=True)
    if locked is None:
        raise Unauthenticated(REFUSED)
    locked.last_seen_at, locked.version = now, version or locked.version
    if locked.silent_since is not None:
        locked.silent_since = None
        _say_of_projects(session, ProbeReturned, locked, since=now, now=now)
    session.flush()


def state_of(probe: Probe, *, now: datetime) -> Literal["new", "connected", "silent"]:
    """How a probe is: never heard of yet, heard of lately, or missed."""
    if probe.last_seen_at is None:
        return "new"
    return "connected" if now - probe.last_seen_at <= SILENT_AFTER else "silent"


def command_of(base: str, token: str) -> str:
    """The command that starts a probe on another machine."""
    return f"mainstay probe --server {base} --token {token}"


def is_seen_lately(probe: Probe, *, now: datetime) -> bool:
    """Whether there is nothing to note: it was heard of seconds ago and nobody missed it."""
    return (
        probe.silent_since is None
        and probe.last_seen_at is not None
        and now - probe.last_seen_at < SEEN_EVERY
    )


def mark_silent(session: Session, *, now: datetime) -> int:
    """Miss the probes that were not heard of for 90 seconds, and say so once each.

    What they asked becomes unknown by itself: a probe that is lost is no outage of an app. One that
    was never started is not missed. Returns how many were marked.
    """
    missed = session.scalars(
        sa.select(Probe)
        .where(Probe.silent_since.is_(None), Probe.last_seen_at < now - SILENT_AFTER)
        .order_by(Probe.id)
        .with_for_update()
    ).all()
    for probe in missed:
        probe.silent_since = probe.last_seen_at
        assert probe.last_seen_at is not None, "the query says so"
        _say_of_projects(session, ProbeWentSilent, probe, since=probe.last_seen_at, now=now)
    return len(missed)


def count_checks(session: Session, organization_id: str) -> dict[str, int]:
    """How many checks are asked from each location that has a probe."""
    rows = session.execute(
        sa.select(CheckPlace.location, sa.func.count())
        .where(CheckPlace.organization_id == organization_id)
        .group_by(CheckPlace.location)
    )
    return dict(rows.all())


def _seen(probe: Probe) -> ProbeSeen:
    return ProbeSeen(
        id=probe.id,
        organization_id=probe.organization_id,
        name=probe.name,
        location=probe.location,
    )


def _hash(credential: str) -> str:
    """It is long and random, so one SHA-256 is enough."""
    return hashlib.sha256(credential.encode()).hexdigest()


def _say(
    session: Session,
    kind: type[HealthProbeEvent],
    probe: Probe,
    *,
    before: dict[str, object],
    after: dict[str, object],
    now: datetime,
) -> None:
    event = kind(
        organization_id=probe.organization_id,
        probe_id=probe.id,
        name=f"{probe.name} ({probe.location})",
        changes=changes_between(before, after),
    )
    say(session, event, now=now)


def _say_of_projects(
    session: Session, kind: type[ProbeChanged], probe: Probe, *, since: datetime, now: datetime
) -> None:
    """Say it once in every project that has a check there; the instance is one of those."""
    rows = session.execute(
        sa.select(HealthCheck.project_id, sa.func.min(HealthCheck.instance_id), sa.func.count())
        .join(CheckPlace, CheckPlace.health_check_id == HealthCheck.id)
        .where(
            CheckPlace.organization_id == probe.organization_id,
            CheckPlace.location == probe.location,
        )
        .group_by(HealthCheck.project_id)
    ).all()
    for project_id, instance_id, checks in rows:
        event = kind(
            organization_id=probe.organization_id,
            project_id=project_id,
            instance_id=instance_id,
            probe_id=probe.id,
            name=probe.name,
            location=probe.location,
            checks=checks,
            since=since,
        )
        say(session, event, now=now)
