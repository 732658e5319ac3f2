"""The API of the limits."""

from datetime import timedelta
from typing import Annotated

from fastapi import Query
from sqlalchemy.orm import Session

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router, example, parse_hours
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role

from .schemas import (
    EXAMPLE,
    PRESETS,
    LimitedAddress,
    LimitedAnswer,
    NewRateLimit,
    Policy,
    PresetAnswer,
    RateLimitAnswer,
    RateLimitChange,
    RateLimitsAnswer,
)
from .service import limited, policies

router = Router(prefix="/api/instances/{instance_id}")
Viewed = Annotated[InstanceRef, access.instance(Role.VIEWER)]
Administered = Annotated[InstanceRef, access.instance(Role.ADMIN)]

_LIMITS = {
    "rateLimits": [EXAMPLE],
    "presets": [
        {
            "title": PRESETS["register"].title,
            "policy": PRESETS["register"].policy.to_wire(),
        }
    ],
}
_LIMITED = {
    "known": True,
    "addresses": [
        {
            "address": "203.0.113.9",
            "limited": 1204,
            "total": 1304,
            "keyIds": ["0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"],
            "lastAt": "2026-11-21T09:41:45.001Z",
        }
    ],
}


@router.get("/rate-limits", summary="List rate limits", responses=example(_LIMITS))
def list_rate_limits(session: Session, instance: Viewed) -> RateLimitsAnswer:
    """The limits of an instance, the default first, and presets that could be added."""
    found = policies.list_policies(session, instance.id)
    names = {policy.name for policy in found}
    return RateLimitsAnswer(
        rate_limits=[_answer(policy) for policy in found],
        presets=[
            PresetAnswer(title=preset.title, policy=preset.policy.to_wire())
            for name, preset in PRESETS.items()
            if name not in names
        ],
    )


@router.post(
    "/rate-limits", status_code=201, summary="Add a rate limit", responses=example(EXAMPLE, 201)
)
def add_rate_limit(
    session: Session, instance: Administered, wanted: NewRateLimit
) -> RateLimitAnswer:
    """Add a limit. Apps and proxies follow within a second."""
    made = policies.create_policy(session, instance, wanted, now=utc_now())
    return _answer(made)


@router.get("/rate-limits/{limit_name}", summary="One rate limit", responses=example(EXAMPLE))
def get_rate_limit(session: Session, instance: Viewed, limit_name: str) -> RateLimitAnswer:
    """A limit by its name."""
    return _answer(policies.get_policy(session, instance.id, limit_name))


@router.patch(
    "/rate-limits/{limit_name}", summary="Change a rate limit", responses=example(EXAMPLE)
)
def change_rate_limit(
    session: Session, instance: Administered, limit_name: str, changes: RateLimitChange
) -> RateLimitAnswer:
    """Change what is given. A limit with another rate begins with full buckets."""
    given = changes.model_dump(exclude_none=True)
    changed = policies.change_policy(session, instance, limit_name, given, now=utc_now())
    return _answer(changed)


@router.delete("/rate-limits/{limit_name}", status_code=204, summary="Remove a rate limit")
def remove_rate_limit(session: Session, instance: Administered, limit_name: str) -> None:
    """Remove a limit. The default stays; switch it off instead."""
    policies.remove_policy(session, instance, limit_name, now=utc_now())


@router.get("/limited-addresses", summary="Whom rate limits held back", responses=example(_LIMITED))
def list_limited_addresses(
    instance: Viewed,
    hours: Annotated[int, Query(description="The range in hours.", examples=[24])] = 24,
) -> LimitedAnswer:
    """The addresses that were refused by limits in the last hours, the most refused first."""
    now = utc_now()
    since = now - timedelta(hours=parse_hours(hours))
    found = limited.limited_lately(instance.id, since=since, until=now)
    return LimitedAnswer(
        known=found is not None,
        addresses=[
            LimitedAddress(
                address=each.address,
                limited=each.limited,
                total=each.total,
                key_ids=list(each.key_ids),
                last_at=each.last_at,
            )
            for each in found or ()
        ],
    )


def _answer(policy: Policy) -> RateLimitAnswer:
    return RateLimitAnswer(
        name=policy.name,
        methods=list(policy.methods),
        paths=list(policy.paths),
        plans=list(policy.plans),
        by=policy.by,
        quota=policy.quota,
        window_seconds=policy.window_seconds,
        burst=policy.burst,
        cost=policy.cost,
        on_backend_error=policy.on_backend_error,
        simulate=policy.simulate,
        enabled=policy.enabled,
    )
