"""Which keys need somebody: leaked, still used though replaced, about to end, too old."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.api_keys.models import ApiKey

from .ageing import REMINDED_BEFORE_END, is_in_use
from .usage import old_keys_in_use

LEAKS_SHOWN_FOR = timedelta(days=30)
MOST_OF_A_KIND = 50


@dataclass(frozen=True, kw_only=True)
class Attention:
    """One key, why it needs somebody, since or until when, and in which tone that is said."""

    key: ApiKey
    why: str
    at: datetime
    tone: str


def needing_attention(
    session: Session, instance_id: str, *, days: int, now: datetime
) -> list[Attention]:
    """The keys that need somebody, the gravest first, at most 50 of a kind; one may come twice."""
    found = [
        Attention(key=key, why="found in public, revoked", at=key.leaked_at, tone="critical")
        for key in _listed(session, instance_id, ApiKey.leaked_at > now - LEAKS_SHOWN_FOR)
        if key.leaked_at is not None
    ]
    found += [
        Attention(key=old.key, why="replaced, but still used", at=old.usage.last_at, tone="warn")
        for old in old_keys_in_use(session, instance_id, now=now)
        if old.usage.last_at is not None
    ]
    soon = (*is_in_use(now), ApiKey.ends_at <= now + REMINDED_BEFORE_END)
    found += [
        Attention(key=key, why="ends without a successor", at=key.ends_at, tone="warn")
        for key in _listed(session, instance_id, *soon)
        if key.ends_at is not None
    ]
    if days:
        old_ones = (*is_in_use(now), ApiKey.created_at <= now - timedelta(days=days))
        found += [
            Attention(key=key, why=f"older than {days} days", at=key.created_at, tone="warn")
            for key in _listed(session, instance_id, *old_ones)
        ]
    return found


def _listed(
    session: Session, instance_id: str, *conditions: sa.ColumnElement[bool]
) -> Sequence[ApiKey]:
    return session.scalars(
        sa.select(ApiKey)
        .where(ApiKey.instance_id == instance_id, *conditions)
        .order_by(ApiKey.created_at, ApiKey.id)
        .limit(MOST_OF_A_KIND)
    ).all()
