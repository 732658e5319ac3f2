"""What operators ask the server itself: is it well, what does it do, run that now."""

import hmac
import time
from datetime import datetime
from typing import Annotated, Any, Literal

import psutil
import sqlalchemy as sa
from fastapi import Header, Query
from starlette.responses import JSONResponse, PlainTextResponse, Response

from mainstay_server.kernel import columns, database, shared
from mainstay_server.kernel.area import installed
from mainstay_server.kernel.clock import rfc3339, utc_now
from mainstay_server.kernel.jobs import run_task
from mainstay_server.kernel.problems import Invalid, Unauthenticated
from mainstay_server.kernel.settings import ServerSettings, of
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access

from .assembly import lease, store_urls
from .schemas import HEALTH, CronAnswer, LivenessAnswer
from .telemetry import exposition
from .version import VERSION

router = Router(tags=["Server"])
FOR_PROBES = access.public("load balancers and probes ask, and learn nothing of any tenant")
STARTED = time.monotonic()
TASKS = ("health", "backup", "cleanup", "all")
MEMORY_WARNING_PERCENT = 75
MEMORY_CRITICAL_PERCENT = 90
BYTES_PER_MIB = 1024 * 1024
DISK_WARNING_PERCENT = 90
DISK_CRITICAL_FREE_MIB = 32  # a batch, and the merge of a few before it
BY_SECRET = access.public("opened by the cron secret, which the endpoint asks for")
CRON_SECRET: dict[str, Any] = {"security": [{"cronSecret": []}]}
METRICS = """\
# HELP process_resident_memory_bytes Resident memory size in bytes.
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 3.1457e+08
"""


@router.get(
    "/healthz",
    summary="Is the server well",
    operation_id="get_healthz",
    responses=HEALTH,
    dependencies=[FOR_PROBES],
)
@router.get(
    "/api/health/ready",
    summary="May it get traffic",
    operation_id="get_readiness",
    responses=HEALTH,
    dependencies=[FOR_PROBES],
)
@router.get(
    "/api/health",
    summary="Is it well, part by part",
    responses=HEALTH,
    dependencies=[FOR_PROBES],
)
def get_health() -> Response:
    """Ask every store now. 200 when healthy or degraded, 503 when a store does not answer."""
    document = health_document(now=utc_now())
    return JSONResponse(document, status_code=503 if document["status"] == "unhealthy" else 200)


@router.get("/api/health/live", summary="Does it run", dependencies=[FOR_PROBES])
def get_liveness() -> LivenessAnswer:
    """Answer as long as the process does; asks no store."""
    return LivenessAnswer(status="healthy")


@router.get(
    "/metrics",
    summary="The server's own metrics for Prometheus",
    operation_id="get_server_metrics",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"example": METRICS}}}},
    dependencies=[access.public("counts of the process, nothing of any tenant")],
)
def get_metrics() -> Response:
    """Counts and gauges of this process in the Prometheus text format."""
    body, content_type = exposition()
    return Response(body, media_type=content_type)


@router.get(
    "/api/cron",
    summary="Run scheduled tasks from outside",
    openapi_extra=CRON_SECRET,
    dependencies=[BY_SECRET],
)
@router.post(
    "/api/cron",
    summary="Run scheduled tasks from outside",
    operation_id="post_cron",
    openapi_extra=CRON_SECRET,
    dependencies=[BY_SECRET],
)
def run_cron(
    task: Annotated[
        str, Query(description="`health`, `backup`, `cleanup` or `all`.", examples=["health"])
    ] = "all",
    authorization: Annotated[str, Header()] = "",
) -> CronAnswer:
    """Run a task's jobs now and answer when they are done; the scheduler's own turns stay."""
    secret = of(ServerSettings).cron_secret.get_secret_value()
    given = authorization.removeprefix("Bearer ")
    if not secret or not hmac.compare_digest(given.encode(), secret.encode()):
        raise Unauthenticated("Send `Authorization: Bearer <MAINSTAY_CRON_SECRET>`.")
    if task not in TASKS:
        raise Invalid(f"There is no task {task[:40]!r}; use one of {', '.join(TASKS)}.")
    chosen: Any = None if task == "all" else task
    return CronAnswer(task=task, jobs=run_task(chosen, now=utc_now(), lease=lease()))


def health_document(*, now: datetime) -> dict[str, Any]:
    """REQUIREMENTS T1's document about this server."""
    checks: dict[str, dict[str, Any]] = {
        "database": _timed(_ask_database),
        "columns": _timed(_ask_columns),
        "shared": _timed(_ask_shared),
        "memory": _memory(),
        "disk": _disk(),
        "environment": {"status": "healthy"},
        **_parts(),
    }
    states = {check["status"] for check in checks.values()}
    worst = next((s for s in ("unhealthy", "degraded") if s in states), "healthy")
    return {
        "status": worst,
        "timestamp": rfc3339(now),
        "version": VERSION,
        "uptime": round(time.monotonic() - STARTED, 3),
        "checks": checks,
    }


def _parts() -> dict[str, dict[str, Any]]:
    """What areas say of parts that this process runs: a watch that lags is not ready."""
    found = {vital.name: vital.read() for area in installed() for vital in area.vitals}
    return {
        name: {"status": vitals.status, "usage": dict(vitals.usage)}
        for name, vitals in found.items()
        if vitals is not None
    }


def _timed(ask: Any) -> dict[str, Any]:  # noqa: ANN401 - a function of no arguments
    begin = time.perf_counter()
    status: Literal["healthy", "unhealthy"] = "healthy"
    try:
        ask()
    except Exception:  # noqa: BLE001 - whatever a store says when it is away, it is away
        status = "unhealthy"
    return {"status": status, "responseTime": round((time.perf_counter() - begin) * 1000, 2)}


def _ask_database() -> None:
    with database.reading() as session:
        session.execute(sa.select(1))


def _ask_columns() -> None:
    columns.query("SELECT 1 AS one")


def _ask_shared() -> None:
    if not shared.healthy():
        raise ConnectionError


def _memory() -> dict[str, Any]:
    percent = psutil.virtual_memory().percent
    status = "healthy"
    if percent > MEMORY_WARNING_PERCENT:
        status = "degraded"
    if percent > MEMORY_CRITICAL_PERCENT:
        status = "unhealthy"
    mib = psutil.Process().memory_info().rss // BYTES_PER_MIB
    return {"status": status, "usage": {"percentage": percent, "residentMiB": mib}}


def _disk() -> dict[str, Any]:
    """The disk of the data dir; without embedded stores nothing depends on it."""
    urls = store_urls()
    if not any(url.startswith(("sqlite:", "chdb:", "file:")) for url in vars(urls).values()):
        return {"status": "healthy"}
    usage = psutil.disk_usage(str(of(ServerSettings).data_dir))
    status = "degraded" if usage.percent > DISK_WARNING_PERCENT else "healthy"
    if usage.free < DISK_CRITICAL_FREE_MIB * BYTES_PER_MIB:
        status = "unhealthy"
    return {
        "status": status,
        "usage": {"percentage": usage.percent, "freeMiB": usage.free // BYTES_PER_MIB},
    }
