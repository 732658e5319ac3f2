"""Looking at keys: lists with search and status, and how many there are of each."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.api_keys.models import ApiKey, Status
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, Page, decode_cursor, page_of

from .keys import is_living


@dataclass(frozen=True, kw_only=True)
class KeyFilter:
    """Which keys; an empty field stands for all."""

    text: str = ""
    status: Status | None = None
    owner: str = ""


def list_keys(
    session: Session,
    instance_id: str,
    chosen: KeyFilter,
    *,
    limit: int = DEFAULT_PER_PAGE,
    cursor: str = "",
    now: datetime,
) -> Page[ApiKey]:
    """The keys of an instance, newest first."""
    statement = (
        sa.select(ApiKey)
        .where(ApiKey.instance_id == instance_id)
        .order_by(ApiKey.id.desc())
        .limit(limit + 1)
    )
    if chosen.text:
        columns = (ApiKey.name, ApiKey.owner, ApiKey.last_four, ApiKey.id)
        found = [column.icontains(chosen.text.strip(), autoescape=True) for column in columns]
        statement = statement.where(sa.or_(*found))
    if chosen.status is not None:
        statement = statement.where(_status(now) == chosen.status.value)
    if chosen.owner:
        statement = statement.where(ApiKey.owner == chosen.owner)
    after = decode_cursor(cursor, parts=1)
    if after is not None:
        statement = statement.where(ApiKey.id < str(after[0]))
    return page_of(session.scalars(statement).all(), limit=limit, key=lambda key: (key.id,))


def count_by_status(
    session: Session, instance_ids: Sequence[str], *, now: datetime
) -> dict[str, dict[Status, int]]:
    """How many keys of each status some instances have."""
    status = _status(now).label("status")
    rows = session.execute(
        sa.select(ApiKey.instance_id, status, sa.func.count())
        .where(ApiKey.instance_id.in_(instance_ids))
        .group_by(ApiKey.instance_id, status)
    )
    found = {instance_id: dict.fromkeys(Status, 0) for instance_id in instance_ids}
    for instance_id, name, count in rows:
        found[instance_id][Status(name)] = count
    return found


def count_endless(session: Session, instance_id: str) -> int:
    """How many keys would open something for good if nobody did anything."""
    counted = sa.select(sa.func.count()).where(
        ApiKey.instance_id == instance_id,
        ApiKey.revoked_at.is_(None),
        ApiKey.ends_at.is_(None),
        ApiKey.enabled.is_(True),
    )
    return session.scalar(counted) or 0


def names_with_all(
    session: Session, instance_id: str, scopes: AbstractSet[str], *, now: datetime
) -> list[str]:
    """The names of the keys that have every one of these scopes, newest first."""
    rows = session.execute(
        sa.select(ApiKey.name, ApiKey.scopes)
        .where(
            ApiKey.instance_id == instance_id,
            ApiKey.replaced_by.is_(None),
            ApiKey.enabled.is_(True),
            *is_living(now),
        )
        .order_by(ApiKey.id.desc())
    )
    return [name for name, held in rows if scopes <= set(held)]


def _status(now: datetime) -> sa.ColumnElement[str]:
    """`ApiKey.status_at` in the database."""
    return sa.case(
        (ApiKey.revoked_at.is_not(None), Status.REVOKED.value),
        (ApiKey.retires_at <= now, Status.RETIRED.value),
        (ApiKey.ends_at <= now, Status.EXPIRED.value),
        (ApiKey.enabled.is_(False), Status.DISABLED.value),
        (ApiKey.retires_at.is_(None), Status.ACTIVE.value),
        else_=Status.ROTATING.value,
    )


def plans_of_owners(
    session: Session, instance_id: str, *, owners: Sequence[str], now: datetime
) -> dict[str, str]:
    """The plan that the newest usable API key of each owner names; others are absent."""
    rows = session.execute(
        sa.select(ApiKey.owner, ApiKey.plan)
        .where(
            ApiKey.instance_id == instance_id,
            ApiKey.owner.in_(owners),
            ApiKey.plan != "",
            ApiKey.enabled.is_(True),
            *is_living(now),
        )
        .order_by(ApiKey.id)
    )
    return {row.owner: row.plan for row in rows}
