from datetime import timedelta

import pytest
from mainstay_server.contracts.guard import (
    KeyUse,
    conduct_of_addresses,
    last_uses,
    use_of_keys,
)
from mainstay_server.kernel.clock import utc_now
from tests.areas.guard.test_ingest import FULL, report
from tests.world import World

DAY = timedelta(days=1)


@pytest.fixture
def reported(world: World, guard_key: str) -> World:
    moment = utc_now().strftime("%Y-%m-%dT%H:%M:%S.000Z").encode()
    body = FULL.replace(b"2026-11-21T02:59:59.000Z", moment)
    body = body.replace(b"2026-11-21T03:00:00.250Z", moment)
    assert report(world, guard_key, body) == 200
    return world


def test_the_use_of_a_key_is_told_by_route_and_address(reported: World) -> None:
    now = utc_now() + timedelta(minutes=1)
    (use,) = use_of_keys(
        reported.instance.id, key_ids=["key-writer", "other"], since=now - DAY, until=now
    )
    assert use == KeyUse(
        key_id="key-writer",
        route="/api/insights",
        method="POST",
        address="203.0.113.7",
        total=12,
        refused=0,
        last_at=use.last_at,
    )
    assert last_uses(since=now - DAY) == {(reported.instance.id, "key-writer"): use.last_at}
    assert use_of_keys(reported.instance.id, key_ids=[], since=now - DAY, until=now) == []


def test_nobody_hears_of_the_keys_of_others(reported: World) -> None:
    now = utc_now() + timedelta(minutes=1)
    found = use_of_keys(
        reported.charlies_instance.id, key_ids=["key-writer"], since=now - DAY, until=now
    )
    assert found == []


def test_an_address_that_was_refused_is_told_with_what_it_did(reported: World) -> None:
    now = utc_now() + timedelta(minutes=1)
    (conduct,) = conduct_of_addresses(since=now - DAY, until=now, at_least=1)
    assert (conduct.address, conduct.unauthorized, conduct.credentials, conduct.key_ids) == (
        "198.51.100.4",
        1,
        1,
        (),
    )
    assert conduct_of_addresses(since=now - DAY, until=now, at_least=2) == []
