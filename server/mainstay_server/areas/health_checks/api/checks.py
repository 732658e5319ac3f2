"""Health checks over HTTP: listed, made, changed, asked now."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Body, Query
from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.schemas.bodies import (
    FoundAnswer,
    HealthAnswer,
    HealthCheckAnswer,
    HealthCheckChanges,
    HealthChecksAnswer,
)
from mainstay_server.areas.health_checks.service import asking, checks, configs, listing, reporting
from mainstay_server.areas.health_checks.service.kinds import EXAMPLES, NewCheckOfAnyKind
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Cursor, Limit, Router, example, parse_hours
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role

router = Router(prefix="/api/instances/{instance_id}")
Viewed = Annotated[InstanceRef, access.instance(Role.VIEWER)]
Written = Annotated[InstanceRef, access.instance(Role.MEMBER)]

_CHECK = {
    "id": "0193a0c2-7e57-7000-8000-000000000001",
    "instanceId": "0193a0c2-7e57-7000-8000-000000000002",
    "name": "health",
    "kind": "http",
    "target": "https://example.com/health",
    "url": "https://example.com/health",
    "config": {"url": "https://example.com/health"},
    "secrets": [],
    "conditions": ["[STATUS] == 200", "[RESPONSE_TIME] < 500 or degraded"],
    "tags": ["shop"],
    "parentId": "0193a0c2-7e57-7000-8000-000000000003",
    "locations": ["here"],
    "quorum": "majority",
    "expiryDays": [14, 7, 3, 1],
    "followsInstance": True,
    "intervalSeconds": 300,
    "timeoutSeconds": 10,
    "degradedAfterMs": 2000,
    "failAfter": 1,
    "recoverAfter": 1,
    "tellAfterSeconds": 0,
    "paused": False,
    "state": "healthy",
    "stateSince": "2026-11-21T03:06:45.123Z",
    "stateReason": "",
    "lastResultAt": "2026-11-21T09:41:45.001Z",
    "lastResponseMs": 84.2,
    "nextAt": "2026-11-21T09:46:45.001Z",
}
_RESULT = {
    "instanceId": _CHECK["instanceId"],
    "status": "unhealthy",
    "responseTimeMs": 31.5,
    "timestamp": "2026-11-21T09:41:45.001Z",
    "errorMessage": "answered 503",
}
_RAN = _RESULT | {"healthCheckId": _CHECK["id"], "statusCode": 503}
_HEALTH = {
    "metrics": {
        "instanceId": _CHECK["instanceId"],
        "avgResponseTime": 84.2,
        "p95ResponseTime": 130.9,
        "p99ResponseTime": 310.0,
        "errorRate": 0.3472,
        "uptime": 99.81,
        "lastCheckAt": "2026-11-21T09:41:45.001Z",
    },
    "recentChecks": [_RESULT],
}


@router.get(
    "/health",
    summary="Health of an instance",
    operation_id="get_instance_health",
    responses=example(_HEALTH),
)
def get_health(
    session: Session,
    instance: Viewed,
    hours: Annotated[int, Query(description="The range in hours.", examples=[24])] = 24,
) -> HealthAnswer:
    """Figures over the last hours and the 50 newest results. Rates in percent, times in ms."""
    return reporting.health_of(session, instance.id, hours=parse_hours(hours), now=utc_now())


@router.get(
    "/health-checks",
    summary="List health checks",
    responses=example({"healthChecks": [_CHECK], "nextCursor": "WyIwMTk5YjFiMi03YzNkIl0"}),
)
def list_health_checks(
    session: Session, instance: Viewed, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> HealthChecksAnswer:
    """The checks of an instance; the one that follows the instance's URL comes first."""
    page = listing.list_of_instance(session, instance.id, limit=limit, cursor=cursor)
    return HealthChecksAnswer(
        health_checks=[_answer(check) for check in page.items], next_cursor=page.next_cursor
    )


@router.post(
    "/health-checks",
    status_code=201,
    summary="Add a health check",
    responses=example(_CHECK, 201),
)
def add_health_check(
    session: Session,
    instance: Written,
    wanted: Annotated[NewCheckOfAnyKind, Body(openapi_examples=EXAMPLES)],
) -> HealthCheckAnswer:
    """Add a further check, asked at once. The instance's own URL is set on the instance.

    `kind` says how it asks and what its `config` holds. Secrets in it are kept sealed and never
    given back.
    """
    return _answer(checks.add_check(session, instance, wanted, now=utc_now()))


@router.patch(
    "/health-checks/{check_id}", summary="Change a health check", responses=example(_CHECK)
)
def change_health_check(
    session: Session, instance: Written, check_id: str, changes: HealthCheckChanges
) -> HealthCheckAnswer:
    """Change what is given; its state and history stay, and it is asked at once."""
    check = checks.get_check(session, instance.id, check_id)
    checks.change_check(session, check, changes, now=utc_now())
    return _answer(check)


@router.delete("/health-checks/{check_id}", status_code=204, summary="Remove a health check")
def remove_health_check(session: Session, instance: Written, check_id: str) -> None:
    """Remove a check with its history of states; its results end with their retention."""
    check = checks.get_check(session, instance.id, check_id)
    checks.remove_check(session, check, now=utc_now())


@router.post(
    "/health-checks/{check_id}/pause", summary="Pause a health check", responses=example(_CHECK)
)
def pause_health_check(session: Session, instance: Written, check_id: str) -> HealthCheckAnswer:
    """Stop asking until it is resumed; that time does not count for uptime."""
    return _changed(session, instance, check_id, checks.pause_check)


@router.post(
    "/health-checks/{check_id}/resume", summary="Resume a health check", responses=example(_CHECK)
)
def resume_health_check(session: Session, instance: Written, check_id: str) -> HealthCheckAnswer:
    """Ask again, at once."""
    return _changed(session, instance, check_id, checks.resume_check)


@router.post(
    "/health-checks/{check_id}/run", summary="Run a health check now", responses=example(_RAN)
)
def run_health_check(instance: Written, check_id: str) -> FoundAnswer:
    """Ask now, beside the schedule, and answer what was found; a failure is asked twice."""
    with reading() as session:
        checks.get_check(session, instance.id, check_id)
    found = asking.ask_now(check_id, clock=utc_now)
    result = found.result
    return FoundAnswer(
        instance_id=instance.id,
        health_check_id=check_id,
        status=result.state if result else "unknown",
        response_time_ms=round(result.response_ms, 2) if result else 0.0,
        status_code=result.status_code if result else 0,
        timestamp=found.at,
        error_message=result.reason if result else found.why_not,
    )


def _changed(
    session: Session, instance: InstanceRef, check_id: str, change: Callable[..., None]
) -> HealthCheckAnswer:
    check = checks.get_check(session, instance.id, check_id)
    change(session, check, now=utc_now())
    return _answer(check)


def _answer(check: HealthCheck) -> HealthCheckAnswer:
    config = configs.config_of(check)
    return HealthCheckAnswer(
        id=check.id,
        instance_id=check.instance_id,
        name=check.name,
        kind=check.kind,
        target=check.target,
        url=check.url,
        config=configs.shown(config),
        secrets=configs.secrets_of(config),
        conditions=check.conditions,
        tags=check.tags,
        parent_id=check.parent_id,
        expiry_days=check.expiry_days,
        locations=check.locations,
        quorum=check.quorum,
        follows_instance=check.default_of is not None,
        interval_seconds=check.interval_seconds,
        timeout_seconds=check.timeout_seconds,
        degraded_after_ms=check.degraded_after_ms,
        fail_after=check.fail_after,
        recover_after=check.recover_after,
        tell_after_seconds=check.tell_after_seconds,
        paused=check.paused,
        state=check.state,
        state_since=check.state_since,
        state_reason=check.state_reason,
        last_result_at=check.last_result_at,
        last_response_ms=check.last_response_ms,
        next_at=check.next_at if check.is_watched else None,
    )
