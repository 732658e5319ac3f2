"""The API of the keys that a project gives to its users."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import Query
from sqlalchemy.orm import Session

from mainstay_server.areas.api_keys.models import ApiKey, ApiKeySettings
from mainstay_server.areas.api_keys.schemas import (
    AddressShare,
    ApiKeyAnswer,
    ApiKeyChanges,
    ApiKeyQuery,
    ApiKeysAnswer,
    ApiKeySettingsAnswer,
    ApiKeySettingsBody,
    ApiKeyUsageAnswer,
    KeyLimit,
    NewApiKey,
    NewApiKeyAnswer,
    RotateApiKey,
    RotatedApiKeyAnswer,
    UsageShare,
)
from mainstay_server.areas.api_keys.service import asking, keys, listing, rotating, usage
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router, example, parse_hours
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role

router = Router(prefix="/api/instances/{instance_id}")
Viewed = Annotated[InstanceRef, access.instance(Role.VIEWER)]
Written = Annotated[InstanceRef, access.instance(Role.MEMBER)]
Administered = Annotated[InstanceRef, access.instance(Role.ADMIN)]

_KEY = {
    "id": "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
    "instanceId": "0193a0c2-7e57-7000-8000-000000000002",
    "name": "billing service",
    "prefix": "mst_production_api_",
    "lastFour": "wlnJ",
    "status": "active",
    "scopes": ["insight:read"],
    "networks": [],
    "limits": [{"quota": 100, "windowSeconds": 60}],
    "owner": "acme",
    "plan": "PRO",
    "metadata": {"contract": "2026-117"},
    "enabled": True,
    "createdAt": "2026-11-21T09:41:45.001Z",
    "lastUsedAt": "2026-11-21T11:02:03.000Z",
}
_NEW = _KEY | {"key": "mst_production_api_" + "…" * 38}
_OLD = _KEY | {
    "status": "rotating",
    "retiresAt": "2026-11-22T09:41:45.001Z",
    "endsAt": "2026-11-22T09:41:45.001Z",
    "replacedBy": "0199b1b2-9f00-7e4f-8a5b-6c7d8e9f0a1c",
}
_ROTATED = _NEW | {
    "id": _OLD["replacedBy"],
    "replaces": _OLD["id"],
    "oldKey": _OLD,
}
_COUNTS = {"total": 1200, "refused": 3, "lastAt": "2026-11-21T11:02:03.000Z"}
_USAGE = {
    "apiKeyId": _KEY["id"],
    "hours": 24,
    **_COUNTS,
    "routes": [{"route": "/api/insights", "method": "GET", **_COUNTS}],
    "addresses": [{"address": "203.0.113.7", **_COUNTS}],
    "complete": True,
}
_SETTINGS = {
    "required": ["/api/*"],
    "public": ["/api/health"],
    "scopes": [
        {"methods": ["POST"], "paths": ["/api/insights"], "scopes": ["insight:write"]},
    ],
    "mostPerOwner": 100,
    "rotateAfterDays": 90,
}


@router.get(
    "/api-keys",
    summary="List API keys",
    responses=example({"apiKeys": [_KEY]}),
)
def list_api_keys(
    session: Session, instance: Viewed, asked: Annotated[ApiKeyQuery, Query()]
) -> ApiKeysAnswer:
    """The keys of an instance, newest first, dead ones too until they are forgotten."""
    now = utc_now()
    page = listing.list_keys(
        session,
        instance.id,
        listing.KeyFilter(text=asked.q, status=asked.status, owner=asked.owner),
        limit=asked.limit,
        cursor=asked.cursor,
        now=now,
    )
    return ApiKeysAnswer(
        api_keys=[ApiKeyAnswer(**_told(key)) for key in page.items], next_cursor=page.next_cursor
    )


@router.post("/api-keys", status_code=201, summary="Make an API key", responses=example(_NEW, 201))
def create_api_key(session: Session, instance: Written, wanted: NewApiKey) -> NewApiKeyAnswer:
    """Make a key for one of the project's users. The key is shown in this answer only."""
    made, key = keys.create_key(session, instance, wanted, now=utc_now())
    return NewApiKeyAnswer(**_told(made), key=key)


@router.post(
    "/api-keys/rotate",
    status_code=201,
    summary="Rotate an API key",
    responses=example(_ROTATED, 201),
)
def rotate_api_key(
    session: Session, instance: Written, wanted: RotateApiKey
) -> RotatedApiKeyAnswer:
    """Give a key a successor at once; the old one works for the grace period, and then dies.

    The new key may the same and is shown in this answer only. The old one never outlives the end
    that it had. A key has one successor: rotating it again is refused.
    """
    rotated = rotating.rotate_key(
        session,
        instance,
        wanted.key_id,
        grace=timedelta(hours=wanted.grace_period_hours),
        now=utc_now(),
    )
    return RotatedApiKeyAnswer(
        **_told(rotated.new), key=rotated.key, old_key=ApiKeyAnswer(**_told(rotated.old))
    )


@router.get(
    "/api-keys/settings",
    summary="What asks for an API key",
    operation_id="get_api_key_settings",
    responses=example(_SETTINGS),
)
def get_api_key_settings(session: Session, instance: Viewed) -> ApiKeySettingsAnswer:
    """Which paths of the instance ask for a key and for scopes, and what holds for keys."""
    return _told_settings(asking.find_settings(session, instance.id))


@router.put(
    "/api-keys/settings",
    summary="Change what asks for an API key",
    operation_id="change_api_key_settings",
    responses=example(_SETTINGS),
)
def change_api_key_settings(
    session: Session, instance: Administered, wanted: ApiKeySettingsBody
) -> ApiKeySettingsAnswer:
    """Put these settings in place of those that held; every guard follows within a second."""
    return _told_settings(asking.change_settings(session, instance, wanted, now=utc_now()))


@router.get("/api-keys/{api_key_id:id}", summary="Show an API key", responses=example(_KEY))
def get_api_key(session: Session, instance: Viewed, api_key_id: str) -> ApiKeyAnswer:
    """One key, without the key."""
    return ApiKeyAnswer(**_told(keys.get_key(session, instance.id, api_key_id)))


@router.patch("/api-keys/{api_key_id:id}", summary="Change an API key", responses=example(_KEY))
def change_api_key(
    session: Session, instance: Written, api_key_id: str, changes: ApiKeyChanges
) -> ApiKeyAnswer:
    """Change what is given; every guard follows within a second."""
    changed = keys.change_key(session, instance, api_key_id, changes, now=utc_now())
    return ApiKeyAnswer(**_told(changed))


@router.get(
    "/api-keys/{api_key_id:id}/usage",
    summary="Who uses an API key",
    operation_id="get_api_key_usage",
    responses=example(_USAGE),
)
def get_api_key_usage(
    session: Session,
    instance: Viewed,
    api_key_id: str,
    hours: Annotated[int, Query(description="The range in hours.", examples=[24])] = 24,
) -> ApiKeyUsageAnswer:
    """By which routes and from which addresses a key came over the last hours, refused uses too.

    Of a replaced key it tells who must still take the new one.
    """
    hours, now = parse_hours(hours), utc_now()
    key = keys.get_key(session, instance.id, api_key_id)
    found = usage.usage_of(instance.id, key.id, since=now - timedelta(hours=hours), until=now)
    return ApiKeyUsageAnswer(
        api_key_id=key.id,
        hours=hours,
        total=found.total,
        refused=found.refused,
        last_at=found.last_at,
        routes=[_told_route(share) for share in found.routes],
        addresses=[AddressShare(address=one.label, **_told_counts(one)) for one in found.addresses],
        complete=found.complete,
    )


@router.delete("/api-keys/{api_key_id:id}", status_code=204, summary="Revoke an API key")
def revoke_api_key(session: Session, instance: Written, api_key_id: str) -> None:
    """Stop a key everywhere within a second, for good. It stays in the list for a while."""
    keys.revoke_key(session, instance, api_key_id, now=utc_now())


def _told(key: ApiKey) -> dict[str, Any]:
    now = utc_now()
    return {
        "id": key.id,
        "instance_id": key.instance_id,
        "name": key.name,
        "prefix": key.prefix,
        "last_four": key.last_four,
        "status": key.status_at(now),
        "scopes": key.scopes,
        "networks": key.networks,
        "limits": [KeyLimit.model_validate(limit) for limit in key.limits],
        "owner": key.owner,
        "plan": key.plan,
        "metadata": key.extra,
        "enabled": key.enabled,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "retires_at": key.retires_at,
        "ends_at": key.ends_at,
        "revoked_at": key.revoked_at,
        "leaked_at": key.leaked_at,
        "last_used_at": key.last_used_at,
        "replaces": key.replaces,
        "replaced_by": key.replaced_by,
    }


def _told_route(share: usage.Share) -> UsageShare:
    method, _, route = share.label.partition(" ")
    return UsageShare(route=route, method=method, **_told_counts(share))


def _told_counts(share: usage.Share) -> dict[str, Any]:
    return {"total": share.total, "refused": share.refused, "last_at": share.last_at}


def _told_settings(row: ApiKeySettings) -> ApiKeySettingsAnswer:
    return ApiKeySettingsAnswer(
        required=row.required,
        public=row.public,
        scopes=row.scopes,
        most_per_owner=row.most_per_owner,
        rotate_after_days=row.rotate_after_days,
    )
