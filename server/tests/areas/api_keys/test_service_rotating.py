"""A rotated key has one successor, works for its grace, and dies without anybody doing anything."""

import asyncio
from datetime import datetime, timedelta

import pytest
from mainstay_server.areas.api_keys.models import Status
from mainstay_server.areas.api_keys.schemas import ApiKeyChanges
from mainstay_server.areas.api_keys.service import deciding, keys, publishing, rotating
from mainstay_server.areas.api_keys.service.rotating import Rotated
from mainstay_server.areas.api_keys.settings import ApiKeyAreaSettings
from mainstay_server.contracts.api_keys import ApiKeyCreated, ApiKeyRotated
from mainstay_server.kernel.guard import GuardedRequest, Passage
from mainstay_server.kernel.problems import Conflict, Problem
from mainstay_server.kernel.settings import override_settings
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.areas.api_keys.conftest import DAY, HOUR, NOON, a_key
from tests.conftest import Said
from tests.databases import on_both_stores

pytestmark = on_both_stores


def rotate(
    session: Session,
    instance: InstanceRef,
    key_id: str,
    *,
    grace: timedelta = DAY,
    now: datetime = NOON,
) -> Rotated:
    return rotating.rotate_key(session, instance, key_id, grace=grace, now=now)


def verdict(session: Session, instance: InstanceRef, key: str, at: datetime) -> str:
    """What the guard says of a key at a moment, by the policy as it was at noon."""
    section = publishing.publish_section(session, instance, NOON)
    request = GuardedRequest(
        instance=instance,
        method="GET",
        path="/",
        address="203.0.113.9",
        credential=key,
        at=at,
        key_required=True,
    )
    try:
        asyncio.run(deciding.decide(deciding.compile_section(section), Passage(request=request)))
    except Problem as problem:
        return problem.code
    return "passes"


def test_both_keys_work_in_the_grace_and_then_only_the_new_one_without_any_job(
    session: Session, instance: InstanceRef
) -> None:
    made, old_key = a_key(session, instance)

    rotated = rotate(session, instance, made.id, grace=HOUR)

    just_before = NOON + HOUR - timedelta(milliseconds=1)
    assert verdict(session, instance, old_key, just_before) == "passes"
    assert verdict(session, instance, rotated.key, just_before) == "passes"
    assert verdict(session, instance, old_key, NOON + HOUR) == "key-expired"
    assert verdict(session, instance, rotated.key, NOON + HOUR) == "passes"
    assert rotated.old.status_at(just_before) is Status.ROTATING
    assert rotated.old.status_at(NOON + HOUR) is Status.RETIRED


def test_the_new_key_may_what_the_old_one_may(
    session: Session, instance: InstanceRef, said: Said
) -> None:
    made, _ = a_key(
        session,
        instance,
        scopes=["insight:read"],
        networks=["10.0.0.0/8"],
        limits=[{"quota": 5, "windowSeconds": 60}],
        owner="acme",
        plan="PRO",
        metadata={"contract": 7},
    )
    said()

    rotated = rotate(session, instance, made.id)

    for name in ("name", "scopes", "networks", "limits", "owner", "plan", "extra"):
        assert getattr(rotated.new, name) == getattr(made, name), name
    assert (rotated.new.replaces, rotated.old.replaced_by) == (made.id, rotated.new.id)
    created, said_rotated = said()
    assert isinstance(created, ApiKeyCreated)
    assert isinstance(said_rotated, ApiKeyRotated)
    assert said_rotated.new_api_key_id == created.api_key_id == rotated.new.id
    assert said_rotated.retires_at == NOON + DAY
    assert said_rotated.changes == {
        "replaced_by": (None, rotated.new.id),
        "retires_at": (None, "2026-03-02T12:00:00.000Z"),
    }


def test_the_old_key_never_outlives_its_end_and_the_new_one_has_a_whole_life(
    session: Session, instance: InstanceRef
) -> None:
    made, _ = a_key(session, instance, expires_at=NOON + 30 * DAY)
    late = NOON + 30 * DAY - HOUR

    rotated = rotate(session, instance, made.id, grace=DAY, now=late)

    assert rotated.old.ends_at == NOON + 30 * DAY
    assert rotated.new.expires_at == late + 30 * DAY


def test_no_grace_ends_the_old_key_at_once(session: Session, instance: InstanceRef) -> None:
    made, old_key = a_key(session, instance)

    rotated = rotate(session, instance, made.id, grace=timedelta())

    assert rotated.old.status_at(NOON) is Status.RETIRED
    assert verdict(session, instance, old_key, NOON) == "key-expired"


def test_retiring_an_old_key_now_is_revoking_it(session: Session, instance: InstanceRef) -> None:
    made, old_key = a_key(session, instance)
    rotate(session, instance, made.id)

    keys.revoke_key(session, instance, made.id, now=NOON)

    assert verdict(session, instance, old_key, NOON) == "key-unknown"


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("revoked", "was revoked"),
        ("rotating", "is being replaced already"),
        ("retired", "has been replaced already"),
        ("expired", "has expired"),
        ("disabled", "is disabled"),
    ],
)
def test_what_cannot_be_rotated_is_refused_with_its_reason(
    session: Session, instance: InstanceRef, state: str, why: str
) -> None:
    made, _ = a_key(session, instance, expires_at=NOON + 2 * HOUR)
    match state:
        case "revoked":
            keys.revoke_key(session, instance, made.id, now=NOON)
        case "rotating" | "retired":
            grace = HOUR if state == "rotating" else timedelta()
            rotate(session, instance, made.id, grace=grace)
        case "disabled":
            keys.change_key(session, instance, made.id, ApiKeyChanges(enabled=False), now=NOON)
        case _:
            pass

    now = NOON + 3 * HOUR if state == "expired" else NOON
    with pytest.raises(Conflict, match=why) as refused:
        rotate(session, instance, made.id, now=now)
    assert refused.value.code == "key-not-rotatable"


def test_the_chain_from_the_first_key_to_the_last_is_seen_from_each(
    session: Session, instance: InstanceRef
) -> None:
    first, _ = a_key(session, instance)
    second = rotate(session, instance, first.id).new
    third = rotate(session, instance, second.id).new

    for key in (first, second, third):
        chain = rotating.chain_of(session, key)
        assert [link.id for link in chain] == [first.id, second.id, third.id]


def test_a_full_instance_can_rotate_but_not_pile_up_keys_in_grace(
    session: Session, instance: InstanceRef
) -> None:
    override_settings(ApiKeyAreaSettings(api_keys_most_per_instance=2))
    one, _ = a_key(session, instance)
    other, _ = a_key(session, instance)
    newest = rotate(session, instance, one.id).new
    rotate(session, instance, other.id)

    with pytest.raises(Conflict, match="4 API keys with those in grace"), session.begin_nested():
        rotate(session, instance, newest.id)
    keys.revoke_key(session, instance, one.id, now=NOON)
    rotate(session, instance, newest.id)
