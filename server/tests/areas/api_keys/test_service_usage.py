"""Who uses a key is told from what passed, and a last use never goes back in time."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import pytest
from mainstay_server.areas.api_keys.service import keys, rotating, usage
from mainstay_server.contracts.guard import KeyUse, use_of_keys
from mainstay_server.kernel.ports import install_answers
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.areas.api_keys.conftest import DAY, HOUR, NOON, a_key
from tests.databases import on_both_stores

MINUTE = timedelta(minutes=1)


class Passed:
    """The answer of whoever sees requests pass: what was used, within what is asked."""

    def __init__(self) -> None:
        self.uses: list[KeyUse] = []

    def used(
        self,
        key_id: str,
        *,
        at: datetime,
        route: str = "/api/insights",
        address: str = "203.0.113.7",
        total: int = 1,
        refused: int = 0,
    ) -> None:
        self.uses.append(
            KeyUse(
                key_id=key_id,
                route=route,
                method="GET",
                address=address,
                total=total,
                refused=refused,
                last_at=at,
            )
        )

    def answer(
        self, instance_id: str, *, key_ids: Sequence[str], since: datetime, until: datetime
    ) -> list[KeyUse]:
        found = [u for u in self.uses if u.key_id in key_ids and since <= u.last_at < until]
        return sorted(found, key=lambda use: -use.total)[:1000]


@pytest.fixture
def passed() -> Iterator[Passed]:
    made = Passed()
    install_answers((use_of_keys.answered_by(made.answer),))
    yield made
    use_of_keys.answer = None


def test_use_is_summed_by_route_and_by_address_most_first(passed: Passed) -> None:
    passed.used("one", at=NOON, total=5, refused=1)
    passed.used("one", at=NOON + MINUTE, address="203.0.113.8", total=7)
    passed.used("one", at=NOON, route="/api/reports", total=1)
    passed.used("other", at=NOON, total=100)

    found = usage.usage_of("instance", "one", since=NOON, until=NOON + HOUR)

    assert (found.total, found.refused, found.last_at) == (13, 1, NOON + MINUTE)
    assert [(s.label, s.total, s.refused) for s in found.routes] == [
        ("GET /api/insights", 12, 1),
        ("GET /api/reports", 1, 0),
    ]
    assert [(s.label, s.total, s.last_at) for s in found.addresses] == [
        ("203.0.113.8", 7, NOON + MINUTE),
        ("203.0.113.7", 6, NOON),
    ]
    assert found.complete


def test_more_than_is_told_is_said(passed: Passed) -> None:
    for number in range(1001):
        passed.used("one", at=NOON, address=f"10.0.{number // 250}.{number % 250}")

    assert not usage.usage_of("instance", "one", since=NOON, until=NOON + HOUR).complete


@on_both_stores
def test_where_nobody_sees_requests_pass_there_is_no_use(
    session: Session, instance: InstanceRef
) -> None:
    found = usage.usage_of(instance.id, "one", since=NOON, until=NOON + HOUR)
    assert (found.total, found.last_at, found.routes) == (0, None, [])
    assert usage.old_keys_in_use(session, instance.id, now=NOON) == []
    assert usage.find_last_uses(NOON) == {}


@on_both_stores
def test_who_still_uses_a_replaced_key_is_found(
    session: Session, instance: InstanceRef, passed: Passed
) -> None:
    old, _ = a_key(session, instance, name="old")
    resting, _ = a_key(session, instance, name="resting")
    for key in (old, resting):
        passed.used(key.id, at=NOON + HOUR - MINUTE, total=9)
        rotating.rotate_key(session, instance, key.id, grace=HOUR, now=NOON + HOUR)
    passed.used(old.id, at=NOON + HOUR + MINUTE, address="203.0.113.99", total=3)

    (found,) = usage.old_keys_in_use(session, instance.id, now=NOON + 2 * HOUR)

    assert found.key.name == "old"
    assert [share.label for share in found.usage.addresses] == ["203.0.113.99"]
    assert usage.old_keys_in_use(session, instance.id, now=NOON + 2 * DAY) == [], "a day of rest"
    keys.revoke_key(session, instance, old.id, now=NOON + HOUR)
    assert usage.old_keys_in_use(session, instance.id, now=NOON + 2 * HOUR) == []


@on_both_stores
def test_a_last_use_only_moves_forward_and_never_into_the_future(
    session: Session, instance: InstanceRef
) -> None:
    made, _ = a_key(session, instance)

    def note(at: datetime) -> datetime | None:
        usage.note_last_uses(
            session,
            {(made.instance_id, made.id): at, (made.instance_id, "gone"): at},
            now=NOON + HOUR,
        )
        session.refresh(made)
        return made.last_used_at

    assert note(NOON) == NOON
    assert note(NOON - HOUR) == NOON
    assert note(NOON + DAY) == NOON + HOUR
    usage.note_last_uses(session, {}, now=NOON)


@on_both_stores
def test_looking_for_uses_goes_on_where_it_stopped_however_long_nothing_ran(
    session: Session, instance: InstanceRef
) -> None:
    assert usage.where_to_look_from(session, now=NOON) == NOON - 30 * DAY
    made, _ = a_key(session, instance)
    usage.note_last_uses(session, {(made.instance_id, made.id): NOON}, now=NOON)

    assert usage.where_to_look_from(session, now=NOON + DAY) == NOON - HOUR
    assert usage.where_to_look_from(session, now=NOON + 90 * DAY) == NOON + 60 * DAY
