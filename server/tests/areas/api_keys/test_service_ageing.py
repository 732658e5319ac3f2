"""People are reminded once of each key, and what died long ago is forgotten."""

from datetime import datetime

from mainstay_server.areas.api_keys.models import ApiKey
from mainstay_server.areas.api_keys.schemas import ApiKeyChanges, ApiKeySettingsBody
from mainstay_server.areas.api_keys.service import ageing, asking, keys, listing, rotating
from mainstay_server.contracts.api_keys import ApiKeyExpiring, ApiKeyNeedsRotation
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.areas.api_keys.conftest import DAY, HOUR, NOON, a_key
from tests.conftest import Said
from tests.databases import on_both_stores
from tests.world import a_project

pytestmark = on_both_stores


def reminded(session: Session, said: Said, now: datetime) -> list[tuple[str, type]]:
    said()
    ageing.remind_of_rotation(session, now=now)
    ageing.remind_of_end(session, now=now)
    return [
        (event.name, type(event))
        for event in said()
        if isinstance(event, ApiKeyNeedsRotation | ApiKeyExpiring)
    ]


def test_a_key_of_ninety_days_is_said_once(
    session: Session, instance: InstanceRef, said: Said
) -> None:
    a_key(session, instance, name="old")
    a_key(session, instance, name="younger", now=NOON + DAY)

    assert reminded(session, said, NOON + 90 * DAY - HOUR) == []
    assert reminded(session, said, NOON + 90 * DAY) == [("old", ApiKeyNeedsRotation)]
    assert reminded(session, said, NOON + 90 * DAY + HOUR) == []
    assert reminded(session, said, NOON + 91 * DAY) == [("younger", ApiKeyNeedsRotation)]


def test_keys_that_open_nothing_or_have_a_successor_are_left_alone(
    session: Session, instance: InstanceRef, said: Said
) -> None:
    made = [a_key(session, instance, name=name)[0] for name in ("revoked", "disabled", "rotated")]
    a_key(session, instance, name="ended", expires_at=NOON + 30 * DAY)
    keys.revoke_key(session, instance, made[0].id, now=NOON)
    keys.change_key(session, instance, made[1].id, ApiKeyChanges(enabled=False), now=NOON)
    rotating.rotate_key(session, instance, made[2].id, grace=90 * DAY, now=NOON + 80 * DAY)

    assert reminded(session, said, NOON + 95 * DAY) == []


def test_each_instance_has_its_own_age_and_none_at_all_reminds_nobody(
    session: Session, instance: InstanceRef, said: Said
) -> None:
    sooner, never = (
        a_project(session, now=NOON, organization=slug, slug=slug, number=number)
        for number, slug in ((2, "sooner"), (3, "never"))
    )
    for where, days in ((sooner, 30), (never, 0)):
        body = ApiKeySettingsBody(rotate_after_days=days)
        asking.change_settings(session, where, body, now=NOON)
    for where in (instance, sooner, never):
        a_key(session, where, name=where.project_slug)

    assert reminded(session, said, NOON + 30 * DAY) == [("sooner", ApiKeyNeedsRotation)]
    assert reminded(session, said, NOON + 900 * DAY) == [("inspections", ApiKeyNeedsRotation)]
    assert ageing.count_older(session, sooner.id, days=30, now=NOON + 30 * DAY) == (1, NOON)
    assert ageing.count_older(session, sooner.id, days=31, now=NOON + 30 * DAY) == (0, None)


def test_an_end_is_said_a_week_before_and_again_only_when_it_moves(
    session: Session, instance: InstanceRef, said: Said
) -> None:
    made, _ = a_key(session, instance, name="ends", expires_at=NOON + 60 * DAY)
    a_key(session, instance, name="short", expires_at=NOON + 14 * DAY)

    assert reminded(session, said, NOON + 10 * DAY) == [], "a short life is not told of"
    assert reminded(session, said, NOON + 53 * DAY) == [("ends", ApiKeyExpiring)]
    assert reminded(session, said, NOON + 54 * DAY) == []
    changes = ApiKeyChanges(expires_at=NOON + 80 * DAY)
    keys.change_key(session, instance, made.id, changes, now=NOON + 54 * DAY)
    assert reminded(session, said, NOON + 55 * DAY) == []
    assert reminded(session, said, NOON + 73 * DAY) == [("ends", ApiKeyExpiring)]


def test_dead_keys_are_forgotten_and_living_ones_are_not(
    session: Session, instance: InstanceRef
) -> None:
    revoked, _ = a_key(session, instance, name="revoked")
    keys.revoke_key(session, instance, revoked.id, now=NOON)
    a_key(session, instance, name="ended", expires_at=NOON + DAY)
    old, _ = a_key(session, instance, name="old")
    rotating.rotate_key(session, instance, old.id, grace=2 * DAY, now=NOON)

    def names() -> list[str]:
        found: list[ApiKey] = list(
            listing.list_keys(session, instance.id, listing.KeyFilter(), now=NOON).items
        )
        return sorted(key.name for key in found)

    assert ageing.forget_dead(session, before=NOON + DAY) == 1
    assert names() == ["ended", "old", "old"]
    assert ageing.forget_dead(session, before=NOON + 3 * DAY) == 2
    assert names() == ["old"]
    assert ageing.forget_dead(session, before=NOON + 900 * DAY) == 0
