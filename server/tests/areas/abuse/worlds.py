"""Small worlds for abuse: an instance, and what addresses did to it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from mainstay_server.contracts.guard import AddressConduct, trusted_networks
from mainstay_server.contracts.ip_allowlist import allowed_networks
from sqlalchemy.orm import Session

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ATTACKER = "198.51.100.4"


def conduct(instance_id: str, address: str = ATTACKER, **counts: Any) -> AddressConduct:
    """An address that did nothing wrong but what is said."""
    facts: dict[str, Any] = {
        "total": 1000,
        "unauthorized": 0,
        "forbidden": 0,
        "not_found": 0,
        "limited": 0,
        "credentials": 0,
        "key_ids": (),
        "routes": 1,
        "paths": (),
        **counts,
    }
    return AddressConduct(
        instance_id=instance_id,
        address=address,
        first_at=NOON,
        last_at=NOON,
        **facts,
    )


@contextmanager
def others_say(*, allowed: Sequence[str] = (), proxies: Sequence[str] = ()) -> Iterator[None]:
    """What the areas that answer these ports would say."""

    def of_allowlist(_session: Session, _instance_id: str) -> Sequence[str]:
        return allowed

    def of_guard(_session: Session, _instance_id: str) -> Sequence[str]:
        return proxies

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(allowed_networks, "answer", of_allowlist)
        patched.setattr(trusted_networks, "answer", of_guard)
        yield
