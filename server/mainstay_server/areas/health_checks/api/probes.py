"""The API of probes: people add and remove them; the probes themselves fetch plans and report."""

import asyncio
import time
from datetime import datetime
from ipaddress import ip_address
from typing import Annotated, Any

from fastapi import Header, Query
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from mainstay_server.areas.health_checks.models import Probe
from mainstay_server.areas.health_checks.schemas.probes import (
    NewProbe,
    NewProbeAnswer,
    PlaceAnswer,
    PlacesAnswer,
    PlanAnswer,
    ProbeAnswer,
    ProbesAnswer,
    Report,
    ReportAnswer,
)
from mainstay_server.areas.health_checks.service import checks, places, plans, probes, reports
from mainstay_server.areas.health_checks.settings import HealthCheckSettings
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, page_within
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Cursor, Limit, Router, example
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Role

router = Router()
Seen = Annotated[Caller, access.organization(Role.MEMBER, about="project")]
Administered = Annotated[Caller, access.organization(Role.ADMIN)]
Viewed = Annotated[InstanceRef, access.instance(Role.VIEWER)]
BY_PROBE = access.public("opened by a probe's own token, which the endpoint asks for")

MOST_WAIT_SECONDS = 25
LOOK_EVERY_SECONDS = 1.0
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-proto", "x-real-ip")
PROBE_TOKEN: dict[str, Any] = {"security": [{"probeToken": []}]}

_PROBE = {
    "id": "0193a0c2-7e57-7000-8000-000000000021",
    "name": "fra-1",
    "location": "Frankfurt",
    "state": "connected",
    "tokenHint": "mst_probe_4fQx…",
    "madeAt": "2026-11-21T03:06:45.123Z",
    "lastSeenAt": "2026-11-21T09:41:45.001Z",
    "version": "0.1.0",
    "checks": 12,
    "droppedResults": 0,
}
_TOKEN = "mst_probe_4fQxN0tARea1T0kenN0tARea1T0ken00000"  # noqa: S105 - no real one
_NEW = _PROBE | {
    "token": _TOKEN,
    "command": f"mainstay probe --server https://mainstay.example.com --token {_TOKEN}",
}
_PLACE = {
    "location": "Frankfurt",
    "state": "unhealthy",
    "reason": "answered 503",
    "lastResultAt": "2026-11-21T09:41:45.001Z",
    "lastResponseMs": 31.5,
}
_PLAN = {
    "version": "7.2",
    "checks": [
        {
            "id": "0193a0c2-7e57-7000-8000-000000000001",
            "digest": "5f2c",
            "kind": "http",
            "url": "https://example.com/health",
            "target": "https://example.com/health",
            "host": "example.com",
            "config": {},
            "conditions": [],
            "intervalSeconds": 60,
            "timeoutSeconds": 10,
            "degradedAfterMs": 2000,
            "state": "healthy",
        }
    ],
    "askNow": [],
    "withheld": 0,
    "confirmSeconds": 1.0,
    "atOnce": 2000,
    "perHost": 10,
}


@router.get(
    "/api/probes",
    summary="List probes",
    responses=example({"probes": [_PROBE], "nextCursor": "eyJrIjoiMDE5MyJ9"}),
)
def list_probes(
    session: Session, caller: Seen, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> ProbesAnswer:
    """The probes of the organization that run elsewhere, by location."""
    counts = probes.count_checks(session, caller.organization_id)
    page = page_within(
        probes.list_probes(session, caller.organization_id),
        limit=limit,
        cursor=cursor,
        key=lambda probe: (probe.location, probe.id),
    )
    return ProbesAnswer(
        probes=[_answer(probe, counts) for probe in page.items], next_cursor=page.next_cursor
    )


@router.post("/api/probes", status_code=201, summary="Add a probe", responses=example(_NEW, 201))
def add_probe(
    session: Session, request: Request, caller: Administered, wanted: NewProbe
) -> NewProbeAnswer:
    """Make a probe; its token is shown this once, with the command that starts it."""
    probe, token = probes.add_probe(session, caller.organization_id, wanted, now=utc_now())
    return NewProbeAnswer(
        **_answer(probe, {}).model_dump(),
        token=token,
        command=probes.command_of(base_url(request), token),
    )


@router.delete("/api/probes/{probe_id}", status_code=204, summary="Remove a probe")
def remove_probe(session: Session, caller: Administered, probe_id: str) -> None:
    """Refuse the probe from now on; checks that only it asked are asked from here."""
    probe = probes.get_probe(session, caller.organization_id, probe_id)
    probes.remove_probe(session, probe, now=utc_now())


@router.get(
    "/api/instances/{instance_id}/health-checks/{check_id}/locations",
    summary="How a health check stands at each location",
    operation_id="get_health_check_locations",
    responses=example({"quorum": "majority", "locations": [_PLACE]}),
)
def get_locations(session: Session, instance: Viewed, check_id: str) -> PlacesAnswer:
    """What each place that asks it found last; of a single place, what the check itself knows."""
    check = checks.get_check(session, instance.id, check_id)
    return PlacesAnswer(
        quorum=check.quorum,
        locations=[
            PlaceAnswer.model_validate(place)
            for place in places.shown_places(session, check, now=utc_now())
        ],
    )


@router.get(
    "/api/probe/plan",
    summary="What a probe is to ask",
    operation_id="get_probe_plan",
    responses=example(_PLAN),
    openapi_extra=PROBE_TOKEN,
    dependencies=[BY_PROBE],
)
async def get_plan(
    request: Request,
    after: Annotated[
        str, Query(description="The version that is known.", max_length=40, examples=["7.2"])
    ] = "",
    wait: Annotated[
        int, Query(description="Seconds to wait for a change, at most 25.", examples=[25])
    ] = 0,
    version: Annotated[str, Query(description="Of the program.", max_length=40)] = "",
    authorization: Annotated[str, Header()] = "",
) -> PlanAnswer:
    """Answer at once when there is something new, or else when the wait is over."""
    deadline = time.monotonic() + min(max(wait, 0), MOST_WAIT_SECONDS)
    secure = is_secure(request)
    while True:
        over = time.monotonic() >= deadline
        plan = await run_in_threadpool(
            _find_plan, authorization, after, version, secure=secure, over=over
        )
        if plan is not None:
            return plan
        await asyncio.sleep(LOOK_EVERY_SECONDS)


@router.post(
    "/api/probe/results",
    summary="Report what a probe found",
    operation_id="post_probe_results",
    responses=example({"taken": 1}),
    openapi_extra=PROBE_TOKEN,
    dependencies=[BY_PROBE],
)
def post_results(report: Report, authorization: Annotated[str, Header()] = "") -> ReportAnswer:
    """Take results, each exactly once; of checks that this probe does not ask (so), none."""
    return ReportAnswer(taken=reports.take_report(authorization, report, now=utc_now()))


def _find_plan(
    authorization: str, after: str, version: str, *, secure: bool, over: bool
) -> PlanAnswer | None:
    """The plan if it is another one or the wait is over; notes that the probe was heard of."""
    now: datetime = utc_now()
    with reading() as session:
        probe = probes.authenticate(session, authorization)
        news = over or plans.version_of(probe) != after
        plan = plans.plan_of(session, probe, after=after, with_secrets=secure) if news else None
        noted = probes.is_seen_lately(probe, now=now) and version in ("", probe.version)
    if not noted:
        with transaction() as session:
            known = probes.authenticate(session, authorization)
            probes.note_seen(session, known, now=now, version=version)
    return plan


def is_secure(request: Request) -> bool:
    """Whether what is answered stays between us and the probe."""
    if of(HealthCheckSettings).health_checks_probes_plain or request.url.scheme == "https":
        return True
    if any(name in request.headers for name in FORWARDED):
        return False  # by a proxy beside us, which nobody knows how far it passes this on
    try:
        return request.client is not None and ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _answer(probe: Probe, counts: dict[str, int]) -> ProbeAnswer:
    return ProbeAnswer(
        id=probe.id,
        name=probe.name,
        location=probe.location,
        state=probes.state_of(probe, now=utc_now()),
        token_hint=probe.credential_hint,
        made_at=probe.made_at,
        last_seen_at=probe.last_seen_at,
        version=probe.version,
        checks=counts.get(probe.location, 0),
        dropped_results=probe.dropped_results,
    )
