"""Ingest keys of a project: several at once, so that one can be replaced without a gap."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.contracts.tenancy import (
    IngestKeyCreated,
    IngestKeyDisabled,
    IngestKeyEnabled,
    IngestKeyEvent,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import Changes, changes_between, facts_of, say
from mainstay_server.kernel.problems import Conflict, NotFound
from mainstay_server.tenancy.models import IngestKey
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.tenancy.versions import mark_changed

from .fields import clean_name

KEY_BYTES = 16
LONGEST_LABEL = 60
MOST_KEYS = 50
FACTS = ("label", "disabled_at")


def create_key(session: Session, project: ProjectRef, *, label: str, now: datetime) -> IngestKey:
    """Give a project one more key. Raises `Conflict` when it has 50."""
    if len(list_keys(session, project.id)) >= MOST_KEYS:
        raise Conflict(f"The project has {MOST_KEYS} ingest keys; use one of them.")
    key = IngestKey(
        id=new_id(),
        project_id=project.id,
        key=secrets.token_hex(KEY_BYTES),
        label=clean_name(label, field="label")[:LONGEST_LABEL],
        created_at=now,
    )
    session.add(key)
    session.flush()
    _say(session, IngestKeyCreated, project, key, changes=_changes({}, key), now=now)
    return key


def list_keys(session: Session, project_id: str) -> Sequence[IngestKey]:
    """A project's keys, oldest first, disabled ones too; at most 50."""
    return session.scalars(
        sa.select(IngestKey)
        .where(IngestKey.project_id == project_id)
        .order_by(IngestKey.id)
        .limit(MOST_KEYS)
    ).all()


def present_key(keys: Sequence[IngestKey]) -> IngestKey | None:
    """The key that a project's DSN shows: the newest that is enabled."""
    return next((key for key in reversed(keys) if key.disabled_at is None), None)


def disable_key(session: Session, project: ProjectRef, key_id: str, *, now: datetime) -> IngestKey:
    """Stop a key: at once in this process, within two seconds in others. Raises `NotFound`."""
    key = _get(session, project, key_id)
    if key.disabled_at is None:
        before = facts_of(key, FACTS)
        key.disabled_at = now
        session.flush()
        _say(session, IngestKeyDisabled, project, key, changes=_changes(before, key), now=now)
    return key


def enable_key(session: Session, project: ProjectRef, key_id: str, *, now: datetime) -> IngestKey:
    """Let a disabled key send again. Raises `NotFound`."""
    key = _get(session, project, key_id)
    if key.disabled_at is not None:
        before = facts_of(key, FACTS)
        key.disabled_at = None
        session.flush()
        _say(session, IngestKeyEnabled, project, key, changes=_changes(before, key), now=now)
    return key


def rotate_key(
    session: Session, project: ProjectRef, key_id: str, *, now: datetime
) -> tuple[IngestKey, IngestKey]:
    """The old key and a new one that works now; the old works until somebody disables it."""
    old = _get(session, project, key_id)
    return old, create_key(session, project, label=old.label, now=now)


def _get(session: Session, project: ProjectRef, key_id: str) -> IngestKey:
    key = session.scalar(
        sa.select(IngestKey).where(IngestKey.id == key_id, IngestKey.project_id == project.id)
    )
    if key is None:
        raise NotFound("The project has no such ingest key; list them to see which there are.")
    return key


def _say(
    session: Session,
    event: type[IngestKeyEvent],
    project: ProjectRef,
    key: IngestKey,
    *,
    changes: Changes,
    now: datetime,
) -> None:
    said = event(
        organization_id=project.organization_id,
        project_id=project.id,
        ingest_key_id=key.id,
        label=key.label,
        changes=changes,
    )
    say(session, said, now=now)
    mark_changed(session)


def _changes(before: Mapping[str, object], key: IngestKey) -> Changes:
    return changes_between(before, facts_of(key, FACTS))
