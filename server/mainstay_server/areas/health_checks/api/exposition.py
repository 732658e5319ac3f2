"""Health checks for Prometheus: those of a project, and targets that it names itself."""

from typing import Annotated, Any

from fastapi import Header, Query
from fastapi.responses import PlainTextResponse
from sqlalchemy.orm import Session
from starlette.responses import Response

from mainstay_server.areas.health_checks.service import exposing, listing, trying
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef

router = Router()
Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
MayAsk = Annotated[Caller, access.organization(Role.MEMBER, about="project")]
LONGEST_TARGET = 2_000
EXPOSITION = """\
# HELP probe_success Displays whether or not the probe was a success
# TYPE probe_success gauge
probe_success 1.0
"""
AS_TEXT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"example": EXPOSITION}}}
}


@router.get(
    "/api/projects/{slug}/health-checks/metrics",
    summary="Health checks of a project for Prometheus",
    operation_id="get_health_check_metrics",
    response_class=PlainTextResponse,
    responses=AS_TEXT,
)
def get_metrics(session: Session, project: Viewed) -> Response:
    """How every check of the project stands, with the names of the blackbox exporter.

    The label `instance` is what a check asks: scrape with `honor_labels: true` to keep it.
    """
    latest = listing.latest_of(session, project.id, now=utc_now())
    body, content_type = exposing.exposition_of(exposing.families_of_checks(latest))
    return Response(body, media_type=content_type)


@router.get(
    "/probe",
    summary="Ask a target now, for Prometheus",
    operation_id="probe_target",
    response_class=PlainTextResponse,
    responses=AS_TEXT,
)
def probe_target(
    caller: MayAsk,  # noqa: ARG001 - it is what lets the request in
    target: Annotated[
        str,
        Query(
            max_length=LONGEST_TARGET,
            description="What to ask: a URL, or host:port.",
            examples=["https://example.com/health"],
        ),
    ] = "",
    module: Annotated[
        str, Query(max_length=40, description="How to ask it.", examples=["http_2xx"])
    ] = "http_2xx",
    scrape_timeout: Annotated[
        float,
        Header(alias="X-Prometheus-Scrape-Timeout-Seconds", gt=0, le=120, include_in_schema=False),
    ] = exposing.DEFAULT_TIMEOUT_SECONDS,
) -> Response:
    """Ask once as the blackbox exporter would, and answer with its metrics; nothing is kept.

    Modules are `http_2xx`, `http_post_2xx`, `tcp_connect`, `icmp`, `ssh_banner`, `grpc` and
    `grpc_plain`. A target that is down is an answer too: `probe_success 0`.
    """
    if not target.strip():
        raise Invalid("Target parameter is missing; add ?target=https://example.com/health.")
    wanted = exposing.wanted_of(module, target.strip(), timeout_seconds=scrape_timeout)
    order = trying.order_of_new(wanted, instance_id="", now=utc_now())
    found = trying.try_out(order, clock=utc_now)
    families = exposing.families_of_result(order, found.result or exposing.not_asked())
    body, content_type = exposing.exposition_of(families)
    return Response(body, media_type=content_type)
