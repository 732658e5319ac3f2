"""Keys are made, changed and stopped; each change is said once and reaches every guard."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from mainstay_server.areas.api_keys.models import Status
from mainstay_server.areas.api_keys.schemas import (
    ApiKeyChanges,
    ApiKeySettingsBody,
    NewApiKey,
)
from mainstay_server.areas.api_keys.service import asking, keys, listing, minting
from mainstay_server.areas.api_keys.settings import ApiKeyAreaSettings
from mainstay_server.contracts.api_keys import (
    ApiKeyChanged,
    ApiKeyCreated,
    ApiKeyRevoked,
    ApiKeySettingsChanged,
)
from mainstay_server.kernel.guard import policy_version
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.kernel.settings import override_settings
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.areas.api_keys.conftest import DAY, HOUR, NOON, a_key
from tests.conftest import Said
from tests.databases import on_both_stores
from tests.world import a_project


def test_a_new_key_is_said_without_itself_and_reaches_the_guard(
    session: Session, instance: InstanceRef, said: Said
) -> None:
    made, key = a_key(session, instance, scopes=["insight:read"], owner="acme")

    assert said() == [
        ApiKeyCreated(
            organization_id=instance.organization_id,
            project_id=instance.project_id,
            instance_id=instance.id,
            api_key_id=made.id,
            name="billing service",
            hint=f"mst_production_api_…{key[-4:]}",
            owner="acme",
            changes={
                "name": (None, "billing service"),
                "owner": (None, "acme"),
                "plan": (None, ""),
                "scopes": (None, ["insight:read"]),
                "networks": (None, []),
                "limits": (None, []),
                "metadata": (None, []),
                "enabled": (None, True),
            },
        )
    ]
    assert policy_version(session, instance.id) == 1
    assert made.digest == minting.digest_of(key, minting.pepper_of(instance.project_id))
    assert made.status_at(NOON) is Status.ACTIVE


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"name": " \n "}, "name"),
        ({"scopes": ["insight"]}, "scopes"),
        ({"scopes": ["Insight:Read"]}, "scopes"),
        ({"scopes": ["insight:*"]}, "scopes"),
        ({"networks": ["10.0.0.0/33"]}, "networks"),
        ({"networks": ["10.1.2.3/8"]}, "networks"),
        ({"networks": ["example.com"]}, "networks"),
        (
            {"limits": [{"quota": 1, "windowSeconds": 60}, {"quota": 9, "windowSeconds": 60}]},
            "limits",
        ),
        ({"limits": [{"quota": 20_000, "windowSeconds": 1}]}, "limits"),
        ({"metadata": {"note": "x" * 5000}}, "metadata"),
        ({"expires_at": NOON}, "expiresAt"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    session: Session, instance: InstanceRef, wanted: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        a_key(session, instance, **wanted)

    assert refused.value.errors[0]["field"] == field


def test_a_network_that_says_two_things_is_told_what_to_write(
    session: Session, instance: InstanceRef
) -> None:
    with pytest.raises(Invalid, match=r"10\.0\.0\.0/8 for the network or 10\.1\.2\.3 for the addr"):
        a_key(session, instance, networks=["10.1.2.3/8"])


def test_networks_and_scopes_are_kept_in_their_usual_form(
    session: Session, instance: InstanceRef
) -> None:
    made, _ = a_key(
        session,
        instance,
        networks=["203.0.113.7", "::ffff:10.0.0.0/104", "2001:DB8::/32", "203.0.113.7/32"],
        scopes=["insight:read", "insight:write", "insight:read"],
        owner="  acme\x00  corp ",
    )

    assert made.networks == ["203.0.113.7/32", "10.0.0.0/8", "2001:db8::/32"]
    assert made.scopes == ["insight:read", "insight:write"]
    assert made.owner == "acme corp"


@on_both_stores
def test_an_instance_has_at_most_so_many_living_keys(
    session: Session, instance: InstanceRef
) -> None:
    override_settings(ApiKeyAreaSettings(api_keys_most_per_instance=2))
    first, _ = a_key(session, instance)
    a_key(session, instance, expires_at=NOON + HOUR)

    with pytest.raises(Conflict, match="2 API keys"), session.begin_nested():
        a_key(session, instance)

    a_key(session, instance, now=NOON + HOUR)  # one has ended by itself
    keys.revoke_key(session, instance, first.id, now=NOON + HOUR)
    a_key(session, instance, now=NOON + HOUR)


def test_an_owner_has_at_most_so_many_living_keys_and_others_are_not_counted(
    session: Session, instance: InstanceRef
) -> None:
    body = ApiKeySettingsBody(most_per_owner=1)
    asking.change_settings(session, instance, body, now=NOON)
    a_key(session, instance, owner="acme")
    other, _ = a_key(session, instance, owner="zenith")
    a_key(session, instance)
    a_key(session, instance)

    with pytest.raises(Conflict, match="acme has 1 API keys"), session.begin_nested():
        a_key(session, instance, owner="acme")
    with pytest.raises(Conflict, match="acme has 1 API keys"), session.begin_nested():
        keys.change_key(session, instance, other.id, ApiKeyChanges(owner="acme"), now=NOON)


def test_a_change_says_what_differs_and_nothing_else(
    session: Session, instance: InstanceRef, said: Said
) -> None:
    made, _ = a_key(session, instance, scopes=["insight:read"], metadata={"note": "ours"})
    said()
    changes = ApiKeyChanges(
        name="billing service",
        scopes=["insight:read", "insight:write"],
        metadata={"note": "ours", "contract": "ours too"},
        enabled=False,
    )

    keys.change_key(session, instance, made.id, changes, now=NOON + HOUR)

    (event,) = said()
    assert isinstance(event, ApiKeyChanged)
    assert event.changes == {
        "scopes": (["insight:read"], ["insight:read", "insight:write"]),
        "metadata": (["note"], ["contract", "note"]),
        "enabled": (True, False),
    }
    assert made.status_at(NOON + HOUR) is Status.DISABLED
    assert policy_version(session, instance.id) == 2


def test_a_change_of_nothing_is_not_said(
    session: Session, instance: InstanceRef, said: Said
) -> None:
    made, _ = a_key(session, instance, networks=["10.0.0.0/8"])
    said()

    changes = ApiKeyChanges(networks=["10.0.0.0/8"], name="billing service")
    keys.change_key(session, instance, made.id, changes, now=NOON)

    assert said() == []
    assert policy_version(session, instance.id) == 1


def test_what_is_kept_with_a_key_may_change_without_being_told(
    session: Session, instance: InstanceRef, said: Said
) -> None:
    made, _ = a_key(session, instance, metadata={"note": "before"})
    said()

    changes = ApiKeyChanges(metadata={"note": "after"})
    keys.change_key(session, instance, made.id, changes, now=NOON)

    (event,) = said()
    assert isinstance(event, ApiKeyChanged)
    assert event.changes == {}
    assert made.extra == {"note": "after"}


def test_an_end_can_be_set_moved_and_taken_away(session: Session, instance: InstanceRef) -> None:
    made, _ = a_key(session, instance, expires_at=NOON + HOUR)

    def change(changes: ApiKeyChanges) -> None:
        keys.change_key(session, instance, made.id, changes, now=NOON + 2 * HOUR)

    assert made.status_at(NOON + 2 * HOUR) is Status.EXPIRED
    change(ApiKeyChanges(name="still expired"))
    assert made.status_at(NOON + 2 * HOUR) is Status.EXPIRED
    change(ApiKeyChanges(expires_at=NOON + DAY))
    assert made.status_at(NOON + 2 * HOUR) is Status.ACTIVE
    change(ApiKeyChanges(expires_at=None))
    assert made.ends_at is None


def test_a_revoked_key_is_stopped_once_and_for_good(
    session: Session, instance: InstanceRef, said: Said
) -> None:
    made, _ = a_key(session, instance)
    said()

    keys.revoke_key(session, instance, made.id, now=NOON + HOUR)
    keys.revoke_key(session, instance, made.id, now=NOON + 2 * HOUR)

    assert [type(event) for event in said()] == [ApiKeyRevoked]
    assert made.revoked_at == NOON + HOUR
    assert policy_version(session, instance.id) == 2
    with pytest.raises(Conflict, match="opens nothing any more"):
        keys.change_key(session, instance, made.id, ApiKeyChanges(enabled=True), now=NOON)


def test_a_key_of_another_instance_is_not_there(session: Session, instance: InstanceRef) -> None:
    other = a_project(session, now=NOON, organization="Rivals", slug="spying", number=2)
    made, _ = a_key(session, instance)

    with pytest.raises(NotFound):
        keys.get_key(session, other.id, made.id)
    with pytest.raises(NotFound):
        keys.revoke_key(session, other, made.id, now=NOON)


@on_both_stores
def test_keys_are_listed_newest_first_searched_and_paged(
    session: Session, instance: InstanceRef
) -> None:
    made = [a_key(session, instance, name=f"key {n}", owner="acme")[0] for n in range(5)]
    special, _ = a_key(session, instance, name="100% special_", owner="zenith")

    def names(cursor: str = "", **chosen: Any) -> tuple[list[str], str | None]:
        page = listing.list_keys(
            session,
            instance.id,
            listing.KeyFilter(**chosen),
            limit=3,
            cursor=cursor,
            now=NOON,
        )
        return [key.name for key in page.items], page.next_cursor

    first, cursor = names(owner="acme")
    assert first == ["key 4", "key 3", "key 2"]
    assert cursor is not None
    assert names(cursor, owner="acme") == (["key 1", "key 0"], None)
    assert names(text="0%") == (["100% special_"], None)
    assert names(text="ZENITH") == (["100% special_"], None)
    assert special.name in names(text=special.last_four)[0]
    keys.revoke_key(session, instance, made[0].id, now=NOON)
    assert names(status=Status.REVOKED) == (["key 0"], None)


@on_both_stores
def test_every_status_is_found_and_counted_as_the_key_says_it_is(
    session: Session, instance: InstanceRef
) -> None:
    ends: dict[str, timedelta | None] = {
        "active": None,
        "disabled": None,
        "revoked": None,
        "expired": HOUR,
    }
    for name, after in ends.items():
        a_key(session, instance, name=name, expires_at=None if after is None else NOON + after)
    by_name = {
        key.name: key
        for key in listing.list_keys(session, instance.id, listing.KeyFilter(), now=NOON).items
    }
    keys.change_key(
        session, instance, by_name["disabled"].id, ApiKeyChanges(enabled=False), now=NOON
    )
    keys.revoke_key(session, instance, by_name["revoked"].id, now=NOON)
    by_name["expired"].retires_at = None
    now = NOON + 2 * HOUR
    for name, retires_at in (("rotating", now + HOUR), ("retired", now)):
        made, _ = a_key(session, instance, name=name)
        made.retires_at = made.ends_at = retires_at
        by_name[name] = made
    session.flush()

    assert {name: key.status_at(now).value for name, key in by_name.items()} == {
        name: name for name in Status
    }
    for status in Status:
        chosen = listing.KeyFilter(status=status)
        (found,) = listing.list_keys(session, instance.id, chosen, now=now).items
        assert found.name == status
    counts = listing.count_by_status(session, [instance.id, "nobody"], now=now)
    assert counts == {instance.id: dict.fromkeys(Status, 1), "nobody": dict.fromkeys(Status, 0)}


@on_both_stores
def test_what_asks_for_keys_is_changed_as_a_whole_and_said_in_parts(
    session: Session, instance: InstanceRef, said: Said
) -> None:
    body = ApiKeySettingsBody.model_validate(
        {
            "required": ["/api/*", "/api/*"],
            "scopes": [{"methods": ["post"], "paths": ["/x"], "scopes": ["x:write"]}],
        }
    )

    row = asking.change_settings(session, instance, body, now=NOON)
    asking.change_settings(session, instance, body, now=NOON)

    assert row.required == ["/api/*"]
    (event,) = said()
    assert isinstance(event, ApiKeySettingsChanged)
    assert event.changes == {
        "required": ([], ["/api/*"]),
        "scopes": ([], ["POST /x x:write"]),
    }
    assert policy_version(session, instance.id) == 1


@pytest.mark.parametrize("path", ["api", "", "/a*b", "/a**", "/a b"])
def test_a_pattern_that_is_none_is_refused(
    session: Session, instance: InstanceRef, path: str
) -> None:
    with pytest.raises(Invalid, match="required has"):
        asking.change_settings(session, instance, ApiKeySettingsBody(required=[path]), now=NOON)


def test_metadata_has_at_most_fifty_members() -> None:
    with pytest.raises(ValueError, match="at most 50"):
        NewApiKey(name="x", metadata={str(n): n for n in range(51)})


def test_the_plan_of_an_owner_is_that_of_the_newest_key_that_works(
    session: Session, instance: InstanceRef
) -> None:
    a_key(session, instance, owner="acme", plan="FREE")
    newest, _ = a_key(session, instance, owner="acme", plan="PRO")
    a_key(session, instance, owner="other")
    a_key(session, instance, owner="acme", plan="ENTERPRISE", expires_at=NOON + DAY)

    def plans(now: datetime) -> dict[str, str]:
        owners = ["acme", "other"]
        return listing.plans_of_owners(session, instance.id, owners=owners, now=now)

    assert plans(NOON) == {"acme": "ENTERPRISE"}
    assert plans(NOON + DAY) == {"acme": "PRO"}, "the newest one is over"
    keys.revoke_key(session, instance, newest.id, now=NOON)
    assert plans(NOON + DAY) == {"acme": "FREE"}
    assert plans(NOON - DAY) == {"acme": "ENTERPRISE"}, "as it was, by a clock that was set back"
