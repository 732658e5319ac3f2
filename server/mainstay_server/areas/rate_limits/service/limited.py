"""Whom limits hold back, by what apps and proxies report; and the word of it, said seldom."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.rate_limits.models import RateLimitTelling
from mainstay_server.contracts.guard import AddressConduct, conduct_of_addresses
from mainstay_server.contracts.rate_limits import RateLimitExceeded
from mainstay_server.kernel.database import insert
from mainstay_server.kernel.events import say
from mainstay_server.tenancy.subjects import find_instance

NOTABLE = 10
OVER = timedelta(minutes=10)
FORGOTTEN_AFTER = timedelta(days=1)
MOST_SHOWN = 100


def limited_lately(
    instance_id: str, *, since: datetime, until: datetime
) -> list[AddressConduct] | None:
    """The addresses that limits refused, the most refused first, at most 100.

    None when no installed area keeps what passed.
    """
    if not conduct_of_addresses.is_answered:
        return None
    found = [
        conduct
        for conduct in conduct_of_addresses(since=since, until=until, at_least=1)
        if conduct.instance_id == instance_id and conduct.limited
    ]
    return sorted(found, key=lambda each: (-each.limited, each.address))[:MOST_SHOWN]


def notable(*, now: datetime) -> list[AddressConduct]:
    """Every address of every instance that was refused ten times in ten minutes."""
    if not conduct_of_addresses.is_answered:
        return []
    found = conduct_of_addresses(since=now - OVER, until=now, at_least=NOTABLE)
    return [conduct for conduct in found if conduct.limited >= NOTABLE]


def tell_of(session: Session, conducts: list[AddressConduct], *, now: datetime) -> int:
    """Say of each address that limits hold it back, once in ten minutes however often it is asked.

    Finding out that it is time and writing down that it was said are one statement, so that of two
    workers one speaks. Returns how many were spoken of.
    """
    session.execute(
        sa.delete(RateLimitTelling).where(RateLimitTelling.said_at < now - FORGOTTEN_AFTER)
    )
    told = 0
    for conduct in conducts:
        instance = find_instance(session, conduct.instance_id)
        if instance is None or not _is_time(session, conduct, now=now):
            continue
        told += 1
        say(
            session,
            RateLimitExceeded(
                organization_id=instance.organization_id,
                project_id=instance.project_id,
                instance_id=instance.id,
                address=conduct.address,
                refused=conduct.limited,
                key_ids=list(conduct.key_ids),
                since=conduct.first_at,
            ),
            now=now,
        )
    return told


def _is_time(session: Session, conduct: AddressConduct, *, now: datetime) -> bool:
    spoken = insert(RateLimitTelling).values(
        instance_id=conduct.instance_id, address=conduct.address, said_at=now
    )
    row = session.scalar(
        spoken.on_conflict_do_update(
            index_elements=["instance_id", "address"],
            set_={"said_at": now},
            where=RateLimitTelling.said_at <= now - OVER,
        ).returning(RateLimitTelling.address)
    )
    return row is not None
