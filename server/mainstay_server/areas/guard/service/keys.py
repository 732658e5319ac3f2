"""Guard keys: made, shown once, found by their digest, revoked."""

import hashlib
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.guard.models import GuardKey
from mainstay_server.contracts.guard import GuardKeyCreated, GuardKeyRevoked
from mainstay_server.kernel.credentials import is_well_formed, new_credential
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.pagination import Page, decode_cursor, page_of
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.tenancy.subjects import ProjectRef

PREFIX = "mst_guard_"
HINT_CHARACTERS = 4
MOST_PER_PROJECT = 50
FACTS = ("name", "hint", "revoked_at")


def create_key(
    session: Session, project: ProjectRef, *, name: str, now: datetime
) -> tuple[GuardKey, str]:
    """Make one more guard key of a project, for one of its servers.

    Returns the row and the key itself, which is kept nowhere.

    Raises:
        Invalid: the name is empty.
        Conflict: the project has 50 that are not revoked.
    """
    clean = name.strip()
    if not clean:
        raise Invalid("name is empty; say which server will hold the key.")
    live = sa.select(sa.func.count()).where(
        GuardKey.project_id == project.id, GuardKey.revoked_at.is_(None)
    )
    if (session.scalar(live) or 0) >= MOST_PER_PROJECT:
        raise Conflict(f"The project has {MOST_PER_PROJECT} guard keys; revoke one first.")
    key = new_credential(PREFIX)
    row = GuardKey(
        id=new_id(),
        organization_id=project.organization_id,
        project_id=project.id,
        name=clean,
        hint=f"{PREFIX}…{key[-HINT_CHARACTERS:]}",
        digest=digest_of(key),
        created_at=now,
    )
    session.add(row)
    session.flush()
    say(
        session,
        GuardKeyCreated(
            organization_id=project.organization_id,
            project_id=project.id,
            guard_key_id=row.id,
            name=clean,
            changes=changes_between({}, facts_of(row, FACTS)),
        ),
        now=now,
    )
    return row, key


def revoke_key(session: Session, project: ProjectRef, key_id: str, *, now: datetime) -> GuardKey:
    """Have a guard key open nothing any more, within two seconds everywhere; again is no fault.

    Raises:
        NotFound: the project has no such key.
    """
    row = session.scalar(
        sa.select(GuardKey).where(GuardKey.id == key_id, GuardKey.project_id == project.id)
    )
    if row is None:
        raise NotFound("There is no such guard key; list the project's keys first.")
    if row.revoked_at is None:
        before = facts_of(row, FACTS)
        row.revoked_at = now
        say(
            session,
            GuardKeyRevoked(
                organization_id=row.organization_id,
                project_id=row.project_id,
                guard_key_id=row.id,
                name=row.name,
                changes=changes_between(before, facts_of(row, FACTS)),
            ),
            now=now,
        )
    return row


def list_keys(session: Session, project_id: str, *, limit: int, cursor: str) -> Page[GuardKey]:
    """A project's guard keys, the newest first, revoked ones too."""
    statement = sa.select(GuardKey).where(GuardKey.project_id == project_id)
    position = decode_cursor(cursor, parts=1)
    if position is not None:
        statement = statement.where(GuardKey.id < str(position[0]))
    found = session.scalars(statement.order_by(GuardKey.id.desc()).limit(limit + 1)).all()
    return page_of(found, limit=limit, key=lambda row: (row.id,))


def count_live(session: Session, project_id: str) -> int:
    """How many guard keys of a project are not revoked."""
    live = sa.select(sa.func.count()).where(
        GuardKey.project_id == project_id, GuardKey.revoked_at.is_(None)
    )
    return session.scalar(live) or 0


def find_key(session: Session, key: str) -> GuardKey | None:
    """The guard key that was presented, unless it was revoked; a mistyped one costs no look-up."""
    if not is_well_formed(key, PREFIX):
        return None
    return session.scalar(
        sa.select(GuardKey).where(GuardKey.digest == digest_of(key), GuardKey.revoked_at.is_(None))
    )


def note_use(session: Session, key_ids: list[str], *, now: datetime) -> None:
    """Remember that keys were used, which is folded by the minute and never done per request."""
    session.execute(sa.update(GuardKey).where(GuardKey.id.in_(key_ids)).values(last_used_at=now))


def digest_of(key: str) -> str:
    """The form in which keys are kept: 190 random bits need no more than one SHA-256."""
    return hashlib.sha256(key.encode()).hexdigest()
