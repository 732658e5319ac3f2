"""What other areas may ask about what passed: answers to the ports of `contracts.guard`."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.areas.guard import columns
from mainstay_server.contracts.guard import AddressConduct, KeyOnTheMove, KeyUse

from .settings import find_settings


def use_of_keys(
    instance_id: str, *, key_ids: Sequence[str], since: datetime, until: datetime
) -> list[KeyUse]:
    """How some API keys of an instance were used, most used first, at most 1,000 rows."""
    if not key_ids:
        return []
    rows = columns.use_of_keys(instance_id, key_ids=key_ids, since=since, until=until)
    return [KeyUse(**row) for row in rows]


def last_uses(*, since: datetime) -> dict[tuple[str, str], datetime]:
    """When each API key that was used since then was used last, by its instance and its own id."""
    rows = columns.last_uses(since=since)
    return {(row["instance_id"], row["key_id"]): row["last_at"] for row in rows}


def conduct_of_addresses(
    *, since: datetime, until: datetime, at_least: int
) -> list[AddressConduct]:
    """What every address with at least so many refused requests did, worst first, at most 1,000."""
    rows = columns.conduct_of_addresses(since=since, until=until, at_least=at_least)
    return [
        AddressConduct(
            **{
                name: value
                for name, value in row.items()
                if name not in ("bad", "key_ids", "paths")
            },
            key_ids=tuple(row["key_ids"]),
            paths=tuple(row["paths"]),
        )
        for row in rows
    ]


def keys_on_the_move(*, since: datetime, until: datetime, at_least: int) -> list[KeyOnTheMove]:
    """The API keys that were used from at least so many networks, at most 1,000."""
    rows = columns.keys_on_the_move(since=since, until=until, at_least=at_least)
    return [KeyOnTheMove(**{**row, "addresses": tuple(row["addresses"])}) for row in rows]


def trusted_networks(session: Session, instance_id: str) -> Sequence[str]:
    """The networks of the proxies in front of an instance."""
    return list(find_settings(session, instance_id).client.get("trustedNetworks", []))
