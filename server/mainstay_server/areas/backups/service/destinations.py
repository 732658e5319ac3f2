"""Destinations: the places that a project's copies go to."""

from collections.abc import Sequence
from datetime import datetime
from secrets import token_hex

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.backups.models import (
    LONGEST_REASON,
    THERE,
    BackupCopy,
    BackupDestination,
    BackupTarget,
    BackupTargetDestination,
    DestinationKind,
)
from mainstay_server.contracts.backups import (
    BackupDestinationChanged,
    BackupDestinationCreated,
    BackupDestinationRemoved,
)
from mainstay_server.kernel.copies.destinations import DestinationFailed, reason_of
from mainstay_server.kernel.copies.opened import open_destination
from mainstay_server.kernel.database import new_id, reading, transaction
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.tenancy.models import Project
from mainstay_server.tenancy.subjects import ProjectRef

from .places import Place, checked_place, url_of

MOST_DESTINATIONS = 50
LONGEST_NAME = 100
OWN_NAME = "This server"
FACTS = ("name", "kind", "shown")
TRIED = b"Mainstay tried whether it may write, read and delete here.\n"


def create_destination(
    session: Session,
    project: ProjectRef,
    *,
    name: str,
    kind: DestinationKind,
    url: str = "",
    now: datetime,
) -> BackupDestination:
    """Make a place for the copies of a project; nothing is asked of it yet, `check` does that.

    Raises:
        Invalid: a name or URL that cannot be, or an address that this server may not reach.
        Conflict: the name is taken, or the project has 50.
    """
    place = checked_place(kind, url)
    clean = clean_name(name)
    session.get_one(Project, project.id, with_for_update=True)  # one at a time, or two go in
    present = list_destinations(session, project.id)
    _refuse_taken(clean, present)
    if len(present) >= MOST_DESTINATIONS:
        raise Conflict(f"The project has {MOST_DESTINATIONS} destinations; remove one first.")
    destination = BackupDestination(
        id=new_id(),
        organization_id=project.organization_id,
        project_id=project.id,
        name=clean,
        kind=kind,
        url=place.url,
        shown=place.shown,
        created_at=now,
    )
    session.add(destination)
    session.flush()
    changes = changes_between({}, facts_of(destination, FACTS))
    say(session, BackupDestinationCreated(**ids_of(destination), changes=changes), now=now)
    return destination


def ensure_own_destination(
    session: Session, project: ProjectRef, *, now: datetime
) -> BackupDestination:
    """The destination on this server, which takes no configuration; made when it is missing."""
    for each in list_destinations(session, project.id):
        if each.kind == DestinationKind.SERVER:
            return each
    return create_destination(session, project, name=OWN_NAME, kind=DestinationKind.SERVER, now=now)


def change_destination(
    session: Session,
    destination: BackupDestination,
    *,
    name: str | None = None,
    url: str | None = None,
    now: datetime,
) -> BackupDestination:
    """Rename a destination, or give it other keys or another place; None leaves it as it is.

    Raises:
        Invalid: as when it was made.
        Conflict: the name is taken, or copies lie there and the bucket or folder is another.
    """
    before = facts_of(destination, FACTS)
    if name is not None:
        others = list_destinations(session, destination.project_id)
        _refuse_taken(clean_name(name), [each for each in others if each.id != destination.id])
        destination.name = clean_name(name)
    is_new_url = url is not None and url != destination.url
    if url is not None and is_new_url:
        place = checked_place(DestinationKind(destination.kind), url)
        _refuse_moving(session, destination, place)
        destination.url, destination.shown = place.url, place.shown
    session.flush()
    changes = changes_between(before, facts_of(destination, FACTS))
    if is_new_url:
        changes.setdefault("keys", ("the old ones", "new ones"))
    if changes:
        say(session, BackupDestinationChanged(**ids_of(destination), changes=changes), now=now)
    return destination


def remove_destination(
    session: Session,
    destination: BackupDestination,
    *,
    forget_copies: bool = False,
    now: datetime,
) -> None:
    """Remove a destination; objects that lie there stay there, and are forgotten.

    Raises:
        Conflict: a target uses it, or copies lie there and nobody said to forget them.
    """
    using = sa.select(BackupTarget.name).join(
        BackupTargetDestination, BackupTargetDestination.target_id == BackupTarget.id
    )
    here = BackupTargetDestination.destination_id == destination.id
    if used_by := session.scalars(using.where(here).order_by(BackupTarget.name)).first():
        raise Conflict(f"{used_by} is backed up there; give it another destination first.")
    copies = count_copies(session, destination.id)
    if copies and not forget_copies:
        raise Conflict(
            f"{copies} copies lie there; remove their backups first, or have them forgotten.",
            code="copies-there",
        )
    changes = changes_between(facts_of(destination, FACTS), {})
    session.delete(destination)
    session.flush()
    say(session, BackupDestinationRemoved(**ids_of(destination), changes=changes), now=now)


def list_destinations(session: Session, project_id: str) -> Sequence[BackupDestination]:
    """The destinations of a project, by name; at most 50."""
    return session.scalars(
        sa.select(BackupDestination)
        .where(BackupDestination.project_id == project_id)
        .order_by(BackupDestination.name)
        .limit(MOST_DESTINATIONS)
    ).all()


def get_destination(session: Session, destination_id: str) -> BackupDestination:
    """The row of a destination that the door has already let in. Raises `NotFound`."""
    found = session.get(BackupDestination, destination_id)
    if found is None:
        raise NotFound("There is no such destination, or it is not yours; list them first.")
    return found


def owner_of(session: Session, destination_id: str) -> str | None:
    """The organization of a destination, for `access.via`."""
    found = session.get(BackupDestination, destination_id)
    return None if found is None else found.organization_id


def count_copies(session: Session, destination_id: str) -> int:
    """How many copies lie there."""
    counted = sa.select(sa.func.count()).where(
        BackupCopy.destination_id == destination_id, BackupCopy.status.in_(THERE)
    )
    return session.scalar(counted) or 0


def check(destination_id: str, *, now: datetime) -> str:
    """Write a small object there, read it and remove it; returns what is wrong, "" if nothing.

    It takes as long as the place takes to answer, and opens transactions of its own. Raises
    `NotFound`.
    """
    with reading() as session:
        destination = get_destination(session, destination_id)
    problem = ""
    try:
        _try_out(url_of(destination), now=now)
    except Exception as error:  # noqa: BLE001 - whatever it is, a person is told
        problem = reason_of(error)
    with transaction() as session:
        record_checked(session, destination_id, problem, now=now)
    return problem[:LONGEST_REASON]


def record_checked(session: Session, destination_id: str, problem: str, *, now: datetime) -> None:
    """Remember how a destination was when it was last used, and since when it is so."""
    row = session.get(BackupDestination, destination_id, with_for_update=True)
    if row is None:
        return
    row.checked_at = now
    if bool(problem) != bool(row.problem):
        row.problem_since = now if problem else None
    row.problem = problem[:LONGEST_REASON]


def clean_name(name: str) -> str:
    """A name of 1 to 100 characters on one line. Raises `Invalid`."""
    clean = " ".join(name.split())
    if not 1 <= len(clean) <= LONGEST_NAME or not clean.isprintable():
        raise Invalid(
            f"The name must have 1 to {LONGEST_NAME} characters; shorten or fill it in.",
            errors=[{"field": "name", "message": f"must have 1 to {LONGEST_NAME} characters"}],
        )
    return clean


def ids_of(destination: BackupDestination) -> dict[str, str]:
    """What every event about a destination carries."""
    return {
        "organization_id": destination.organization_id,
        "project_id": destination.project_id,
        "destination_id": destination.id,
        "name": destination.name,
        "shown": destination.shown,
    }


def _refuse_taken(name: str, others: Sequence[BackupDestination]) -> None:
    if any(each.name == name for each in others):
        raise Conflict(f"A destination is called {name!r} already; choose another name.")


def _refuse_moving(session: Session, destination: BackupDestination, place: Place) -> None:
    old = Place(DestinationKind(destination.kind), destination.url, destination.shown)
    if old.where != place.where and count_copies(session, destination.id):
        raise Conflict(
            "Copies lie there, and would be missing; make another destination for the new place.",
            code="copies-there",
        )


def _try_out(url: str, *, now: datetime) -> None:
    place = open_destination(url)
    key = f"tried-{token_hex(8)}.txt"
    place.put(key, TRIED)
    if b"".join(place.stream(key)) != TRIED:
        raise DestinationFailed("It gave back something else than was written; look at the store.")
    place.remove(key, now=now)
