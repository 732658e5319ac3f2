"""Keys grow old: people are reminded once, and what died long ago is forgotten."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.api_keys.models import (
    DEFAULT_ROTATE_AFTER_DAYS,
    ApiKey,
    ApiKeySettings,
)
from mainstay_server.contracts.api_keys import ApiKeyExpiring, ApiKeyNeedsRotation
from mainstay_server.kernel.database import rows_changed
from mainstay_server.kernel.events import Event, say
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.subjects import find_instance

from .keys import facts, is_living

REMINDED_BEFORE_END = timedelta(days=7)
# Of a key that was made to live for days, nobody wants to be told that it soon ends.
SHORT_LIFE = timedelta(days=14)
MOST_AT_ONCE = 500
MOST_FORGOTTEN_AT_ONCE = 10_000


def remind_of_rotation(session: Session, *, now: datetime) -> int:
    """Say once of each key that it is older than its instance wants keys to become."""
    rows = session.execute(
        sa.select(ApiKeySettings.instance_id, ApiKeySettings.rotate_after_days).where(
            ApiKeySettings.rotate_after_days != DEFAULT_ROTATE_AFTER_DAYS
        )
    )
    changed: dict[str, int] = {instance_id: days for instance_id, days in rows}  # noqa: C416 - rows
    reminded = _remind_older(
        session, DEFAULT_ROTATE_AFTER_DAYS, ApiKey.instance_id.not_in(changed), now=now
    )
    for days in sorted(set(changed.values()) - {0}):
        ids = [instance_id for instance_id, theirs in changed.items() if theirs == days]
        reminded += _remind_older(session, days, ApiKey.instance_id.in_(ids), now=now)
    return reminded


def remind_of_end(session: Session, *, now: datetime) -> int:
    """Say once of each key without a successor that it ends within a week."""
    due = session.scalars(
        sa.select(ApiKey)
        .where(
            *is_in_use(now),
            ApiKey.expiry_reminded_at.is_(None),
            ApiKey.ends_at <= now + REMINDED_BEFORE_END,
        )
        .order_by(ApiKey.ends_at, ApiKey.id)
        .limit(MOST_AT_ONCE)
    ).all()
    for key in due:
        key.expiry_reminded_at = now
    lasting = [key for key in due if key.ends_at and key.ends_at - key.created_at > SHORT_LIFE]

    def expiring(instance: InstanceRef, key: ApiKey) -> Event:
        assert key.ends_at is not None
        return ApiKeyExpiring(**facts(instance, key), ends_at=key.ends_at)

    return _say_of_each(session, lasting, expiring, now=now)


def count_older(
    session: Session, instance_id: str, *, days: int, now: datetime
) -> tuple[int, datetime | None]:
    """How many keys in use are older than so many days, and when the oldest was made."""
    count, oldest = session.execute(
        sa.select(sa.func.count(), sa.func.min(ApiKey.created_at)).where(
            *is_in_use(now),
            ApiKey.instance_id == instance_id,
            ApiKey.created_at <= now - timedelta(days=days),
        )
    ).one()
    return count, oldest


def forget_dead(session: Session, *, before: datetime) -> int:
    """Forget keys that were revoked or ended before a moment; what is known of their use stays."""
    old = (
        sa.select(ApiKey.id)
        .where(sa.or_(ApiKey.revoked_at < before, ApiKey.ends_at < before))
        .limit(MOST_FORGOTTEN_AT_ONCE)
    )
    return rows_changed(session, sa.delete(ApiKey).where(ApiKey.id.in_(old)))


def is_in_use(now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    """The conditions of a key that opens something and has no successor yet."""
    return (*is_living(now), ApiKey.enabled.is_(True), ApiKey.replaced_by.is_(None))


def _remind_older(
    session: Session, days: int, among: sa.ColumnElement[bool], *, now: datetime
) -> int:
    due = session.scalars(
        sa.select(ApiKey)
        .where(
            *is_in_use(now),
            ApiKey.rotation_reminded_at.is_(None),
            ApiKey.created_at <= now - timedelta(days=days),
            among,
        )
        .order_by(ApiKey.id)
        .limit(MOST_AT_ONCE)
    ).all()
    for key in due:
        key.rotation_reminded_at = now

    def old(instance: InstanceRef, key: ApiKey) -> Event:
        return ApiKeyNeedsRotation(
            **facts(instance, key), created_at=key.created_at, after_days=days
        )

    return _say_of_each(session, due, old, now=now)


def _say_of_each(
    session: Session,
    keys: Sequence[ApiKey],
    event_of: Callable[[InstanceRef, ApiKey], Event],
    *,
    now: datetime,
) -> int:
    session.flush()
    instances = {key.instance_id: find_instance(session, key.instance_id) for key in keys}
    said = 0
    for key in keys:
        instance = instances[key.instance_id]
        if instance is not None:
            say(session, event_of(instance, key), now=now)
            said += 1
    return said
