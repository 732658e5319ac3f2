"""Keys: with which jobs report by name, and with which Healthchecks' clients administer."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.heartbeats.models import HeartbeatKey, KeyKind
from mainstay_server.contracts.heartbeats import (
    HeartbeatKeyCreated,
    HeartbeatKeyEvent,
    HeartbeatKeyRemoved,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import Changes, changes_between, facts_of, say
from mainstay_server.kernel.problems import Conflict, NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.callers import hash_token

MOST_KEYS = 50
PING_KEY_BYTES = 16
API_KEY_BYTES = 24
HINT_CHARACTERS = 6
FACTS = ("kind", "name")
NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class MadeKey:
    """A key right after it was made, with its text."""

    row: HeartbeatKey
    text: str


def create_key(
    session: Session,
    instance: InstanceRef,
    *,
    kind: KeyKind,
    name: str,
    whole_project: bool,
    now: datetime,
) -> MadeKey:
    """Make one more key. Raises `Conflict` when the project has 50."""
    count = session.scalar(
        sa.select(sa.func.count()).where(HeartbeatKey.project_id == instance.project_id)
    )
    if (count or 0) >= MOST_KEYS:
        raise Conflict(f"The project has {MOST_KEYS} keys for heartbeats; remove one.")
    is_ping = kind == KeyKind.PING
    text = secrets.token_urlsafe(PING_KEY_BYTES if is_ping else API_KEY_BYTES)
    key = HeartbeatKey(
        id=new_id(),
        organization_id=instance.organization_id,
        project_id=instance.project_id,
        instance_id=None if whole_project else instance.id,
        kind=kind,
        name=name,
        ping_key=text if is_ping else None,
        token_hash=None if is_ping else hash_token(text),
        hint=text[:HINT_CHARACTERS],
        created_at=now,
    )
    session.add(key)
    session.flush()
    made = changes_between({}, facts_of(key, FACTS))
    _say(session, HeartbeatKeyCreated, key, made, now=now)
    return MadeKey(key, text)


def list_keys(session: Session, instance: InstanceRef) -> Sequence[HeartbeatKey]:
    """The keys that open an instance, those of its whole project too; oldest first, at most 50."""
    return session.scalars(
        sa.select(HeartbeatKey)
        .where(
            HeartbeatKey.project_id == instance.project_id,
            sa.or_(HeartbeatKey.instance_id == instance.id, HeartbeatKey.instance_id.is_(None)),
        )
        .order_by(HeartbeatKey.id)
        .limit(MOST_KEYS)
    ).all()


def remove_key(session: Session, instance: InstanceRef, key_id: str, *, now: datetime) -> None:
    """Let a key open nothing any more, at once. Raises `NotFound`."""
    key = next((key for key in list_keys(session, instance) if key.id == key_id), None)
    if key is None:
        raise NotFound("There is no such key; list those of the instance.")
    gone = changes_between(facts_of(key, FACTS), {})
    _say(session, HeartbeatKeyRemoved, key, gone, now=now)
    session.delete(key)
    session.flush()


def find_api_key(session: Session, text: str) -> HeartbeatKey | None:
    """The API key that a client shows; None for one that opens nothing."""
    if not text or len(text) > 200:  # noqa: PLR2004 - longer than any of ours
        return None
    return session.scalar(
        sa.select(HeartbeatKey).where(HeartbeatKey.token_hash == hash_token(text))
    )


def note_use(key: HeartbeatKey, *, now: datetime) -> None:
    """Remember that a key was used, once a minute at most."""
    if key.last_used_at is None or now - key.last_used_at > NOTED_EVERY:
        key.last_used_at = now


def _say(
    session: Session,
    kind: type[HeartbeatKeyEvent],
    key: HeartbeatKey,
    changes: Changes,
    *,
    now: datetime,
) -> None:
    event = kind(
        organization_id=key.organization_id,
        project_id=key.project_id,
        instance_id=key.instance_id or "",
        key_id=key.id,
        kind=key.kind,
        name=key.name,
        changes=changes,
    )
    say(session, event, now=now)
