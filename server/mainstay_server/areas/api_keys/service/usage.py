"""Who uses a key: on which routes, from which addresses, and when last."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from mainstay_server.areas.api_keys.models import ApiKey
from mainstay_server.contracts.guard import KeyUse, last_uses, use_of_keys

MOST_ROWS = 1000
MOST_OLD_KEYS = 100
# A guard that was offline reports late; what it says then must still be noticed.
LATE_REPORTS = timedelta(hours=1)
LONGEST_LOOK_BACK = timedelta(days=30)
OLD_KEYS_WATCHED_FOR = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class Share:
    """What came by one route or from one address; `refused` is a part of `total`."""

    label: str
    total: int
    refused: int
    last_at: datetime


@dataclass(frozen=True, kw_only=True)
class Usage:
    """The use of one key over a span. `complete` is false when there was more than is told."""

    total: int
    refused: int
    last_at: datetime | None
    routes: Sequence[Share]
    addresses: Sequence[Share]
    complete: bool


@dataclass(frozen=True, kw_only=True)
class OldKeyInUse:
    """A replaced key that somebody used after it got its successor."""

    key: ApiKey
    usage: Usage


def usage_of(instance_id: str, key_id: str, *, since: datetime, until: datetime) -> Usage:
    """How one key was used, refused uses too. Where nothing tells of use, there is none."""
    if not use_of_keys.is_answered:
        return _summed((), complete=True)
    rows = use_of_keys(instance_id, key_ids=[key_id], since=since, until=until)
    return _summed(rows, complete=len(rows) < MOST_ROWS)


def old_keys_in_use(session: Session, instance_id: str, *, now: datetime) -> list[OldKeyInUse]:
    """The replaced keys that were used within a day, and after they were replaced; latest first.

    Keys that ended more than a week ago, or were revoked, are not looked at.
    """
    successor = aliased(ApiKey)
    old = session.execute(
        sa.select(ApiKey, successor.created_at)
        .join(successor, successor.id == ApiKey.replaced_by)
        .where(
            ApiKey.instance_id == instance_id,
            ApiKey.revoked_at.is_(None),
            ApiKey.ends_at > now - OLD_KEYS_WATCHED_FOR,
        )
        .order_by(ApiKey.id.desc())
        .limit(MOST_OLD_KEYS)
    ).all()
    if not old or not use_of_keys.is_answered:
        return []
    rows = use_of_keys(
        instance_id,
        key_ids=[key.id for key, _ in old],
        since=now - timedelta(days=1),
        until=now,
    )
    found = []
    for key, replaced_at in old:
        own = [row for row in rows if row.key_id == key.id and row.last_at > replaced_at]
        if own:
            found.append(OldKeyInUse(key=key, usage=_summed(own, complete=len(rows) < MOST_ROWS)))
    return found


def find_last_uses(since: datetime) -> dict[tuple[str, str], datetime]:
    """When each key that was used since then was used last; nothing where nobody knows."""
    return last_uses(since=since) if last_uses.is_answered else {}


def where_to_look_from(session: Session, *, now: datetime) -> datetime:
    """From when on uses may not have been noted yet; at most 30 days ago.

    It follows from what is noted, so that nothing is lost while no worker runs.
    """
    noted = session.scalar(sa.select(sa.func.max(ApiKey.last_used_at)))
    earliest = now - LONGEST_LOOK_BACK
    return earliest if noted is None else max(earliest, noted - LATE_REPORTS)


def note_last_uses(
    session: Session, uses: dict[tuple[str, str], datetime], *, now: datetime
) -> None:
    """Note when keys were used last; one that is noted later already stays.

    What an app says of the future, with a clock that is wrong, is noted as now.
    """
    if not uses:
        return
    key: sa.BindParameter[str] = sa.bindparam("used_key")
    at = sa.bindparam("used_at", type_=ApiKey.last_used_at.type)
    session.connection().execute(
        sa.update(ApiKey)
        .where(
            ApiKey.id == key,
            ApiKey.instance_id == sa.bindparam("used_at_instance"),
            sa.or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < at),
        )
        .values(last_used_at=at),
        [
            {"used_key": key_id, "used_at_instance": instance_id, "used_at": min(used_at, now)}
            for (instance_id, key_id), used_at in sorted(uses.items())
        ],
    )


def _summed(rows: Sequence[KeyUse], *, complete: bool) -> Usage:
    return Usage(
        total=sum(row.total for row in rows),
        refused=sum(row.refused for row in rows),
        last_at=max((row.last_at for row in rows), default=None),
        routes=_shares((f"{row.method} {row.route}", row) for row in rows),
        addresses=_shares((row.address, row) for row in rows),
        complete=complete,
    )


def _shares(rows: Iterable[tuple[str, KeyUse]]) -> list[Share]:
    """The rows summed by their labels, most used first."""
    found: dict[str, Share] = {}
    for label, row in rows:
        before = found.get(label)
        found[label] = Share(
            label=label,
            total=row.total + (before.total if before else 0),
            refused=row.refused + (before.refused if before else 0),
            last_at=max(row.last_at, before.last_at) if before else row.last_at,
        )
    return sorted(found.values(), key=lambda share: (-share.total, share.label))
