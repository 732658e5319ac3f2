"""The policy carries every key that opens something, and not one that does not."""

from datetime import timedelta

from mainstay_server.areas.api_keys.schemas import ApiKeyChanges, ApiKeySettingsBody
from mainstay_server.areas.api_keys.service import asking, deciding, keys, publishing
from mainstay_server.areas.api_keys.settings import ApiKeyAreaSettings
from mainstay_server.kernel.settings import override_settings
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.areas.api_keys.conftest import DAY, HOUR, NOON, a_key
from tests.databases import on_both_stores

pytestmark = on_both_stores


def test_a_key_is_told_as_the_wire_says(session: Session, instance: InstanceRef) -> None:
    made, _ = a_key(
        session,
        instance,
        scopes=["insight:read"],
        networks=["10.0.0.0/8"],
        limits=[{"quota": 5, "windowSeconds": 60}],
        owner="acme",
        plan="PRO",
        expires_at=NOON + HOUR,
        metadata={"secret": "stays here"},
    )

    section = publishing.publish_section(session, instance, NOON)

    assert section["keys"] == [
        {
            "id": made.id,
            "digest": made.digest,
            "scopes": ["insight:read"],
            "expiresAt": "2026-03-01T13:00:00.000Z",
            "networks": ["10.0.0.0/8"],
            "owner": "acme",
            "plan": "PRO",
            "limits": [{"quota": 5, "windowSeconds": 60}],
        }
    ]
    assert deciding.compile_section(section).keys.keys() == {made.digest}


def test_revoked_and_disabled_keys_are_absent_and_ended_ones_stay_for_a_while(
    session: Session, instance: InstanceRef
) -> None:
    ended, _ = a_key(session, instance, expires_at=NOON + HOUR)
    disabled, _ = a_key(session, instance)
    revoked, _ = a_key(session, instance)
    keys.change_key(session, instance, disabled.id, ApiKeyChanges(enabled=False), now=NOON)
    keys.revoke_key(session, instance, revoked.id, now=NOON)

    def told(after: timedelta) -> list[str]:
        section = publishing.publish_section(session, instance, NOON + after)
        return [key["id"] for key in section["keys"]]

    assert told(timedelta()) == [ended.id]
    assert told(29 * DAY) == [ended.id]
    assert told(31 * DAY) == []


def test_without_keys_there_is_still_something_to_refuse_by(
    session: Session, instance: InstanceRef
) -> None:
    section = publishing.publish_section(session, instance, NOON)

    assert section["pepper"]
    assert section == {
        "pepper": section["pepper"],
        "required": [],
        "public": [],
        "scopes": [],
        "keys": [],
    }


def test_what_asks_for_keys_is_told(session: Session, instance: InstanceRef) -> None:
    rule = {"methods": ["POST"], "paths": ["/x"], "scopes": ["x:write"]}
    body = ApiKeySettingsBody.model_validate(
        {"required": ["/api/*"], "public": ["/api/health"], "scopes": [rule]}
    )
    asking.change_settings(session, instance, body, now=NOON)

    section = publishing.publish_section(session, instance, NOON)

    assert section["required"] == ["/api/*"]
    assert section["public"] == ["/api/health"]
    assert section["scopes"] == [rule]


def test_where_there_are_too_many_ended_keys_the_living_come_first(
    session: Session, instance: InstanceRef
) -> None:
    override_settings(ApiKeyAreaSettings(api_keys_most_per_instance=1))
    for minutes in range(3):
        a_key(
            session,
            instance,
            now=NOON + timedelta(minutes=minutes),
            expires_at=NOON + timedelta(minutes=minutes, seconds=1),
        )
    living, _ = a_key(session, instance, now=NOON + HOUR)

    section = publishing.publish_section(session, instance, NOON + HOUR)

    assert len(section["keys"]) == 2
    assert section["keys"][0]["id"] == living.id
