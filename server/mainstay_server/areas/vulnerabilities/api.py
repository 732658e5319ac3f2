"""Scans in, findings out, and the gate of a pipeline, over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.limits.charging import charge_hourly
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router
from mainstay_server.kernel.web.incoming import read_incoming
from mainstay_server.kernel.web.pagination import Cursor, Limit
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role

from .models import Decision, Severity, Status
from .schemas.answers import (
    A_SCAN,
    GateAnswer,
    ScanAbout,
    ScanAnswer,
    Scans,
    SeverityCounts,
    Vulnerabilities,
    VulnerabilityAnswer,
    VulnerabilityDecision,
    VulnerabilityDetails,
    VulnerabilitySettingsAnswer,
    VulnerabilitySettingsBody,
)
from .service import deciding, gating, listing, settings
from .service.reading import read_scan
from .service.recording import About, record_scan
from .settings import MIB, VulnerabilitySettingsOfServer

SCAN_BODY = {
    "requestBody": {
        "required": True,
        "description": "SARIF 2.1.0, CycloneDX, OSV, pip-audit or npm audit; may be gzip.",
        "content": {"application/json": {"schema": {"type": "object"}, "example": A_SCAN}},
    }
}

router = Router()
# Not of the kernel's kind: its body may be larger than others, and nothing waits for the database
# while a scan is read.
uploads = APIRouter()

Viewed = Annotated[InstanceRef, access.instance(Role.VIEWER)]
Written = Annotated[InstanceRef, access.instance(Role.MEMBER)]
Administered = Annotated[InstanceRef, access.instance(Role.ADMIN)]


@uploads.post(
    "/api/instances/{instance_id}/vulnerability-scans",  # noqa: FAST003 - the rule looks it up
    summary="Upload a scan",
    operation_id="upload_vulnerability_scan",
    status_code=201,
    openapi_extra=SCAN_BODY,
)
async def upload_scan(request: Request, instance: Written, about: ScanAbout) -> ScanAnswer:
    """Take in what a scanner wrote; its kind is recognised by what is in it.

    What an earlier scan of the same source and branch named and this one does not is fixed, unless
    `complete` is false.
    """
    await _charge(instance.id)
    limit = of(VulnerabilitySettingsOfServer).vulnerabilities_upload_mib * MIB
    body = await read_incoming(request.scope, request.receive, most_bytes=limit)
    return await run_in_threadpool(_take, instance, body, About(**about.model_dump()))


@router.get(
    "/api/instances/{instance_id}/vulnerability-scans",
    summary="List scans",
    operation_id="list_vulnerability_scans",
)
def list_scans(
    session: Session, instance: Viewed, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> Scans:
    """What was uploaded, newest first, and what each upload changed."""
    page = listing.list_scans(session, instance.id, limit=limit, cursor=cursor)
    scans = [ScanAnswer.model_validate(scan) for scan in page.items]
    return Scans(scans=scans, next_cursor=page.next_cursor)


@router.get(
    "/api/instances/{instance_id}/vulnerabilities",
    summary="List vulnerabilities",
    operation_id="list_vulnerabilities",
)
def list_vulnerabilities(  # noqa: PLR0913 - what can be chosen
    session: Session,
    instance: Viewed,
    *,
    status: Annotated[Status | None, Query(description="Of this state.")] = None,
    severity: Annotated[Severity | None, Query(description="Of this severity.")] = None,
    source: Annotated[str, Query(max_length=200, description="Named by this source.")] = "",
    q: Annotated[str, Query(max_length=200, description="In title, rule, package, place.")] = "",
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> Vulnerabilities:
    """What scans found, the gravest first; of all states unless one is chosen."""
    chosen = listing.FindingFilter(status=status, severity=severity, text=q, source=source)
    page = listing.list_findings(session, instance.id, chosen, limit=limit, cursor=cursor)
    found = [VulnerabilityAnswer.model_validate(one) for one in page.items]
    return Vulnerabilities(vulnerabilities=found, next_cursor=page.next_cursor)


@router.get(
    "/api/instances/{instance_id}/vulnerabilities/gate",
    summary="Ask whether a branch may go on",
    operation_id="judge_vulnerabilities",
)
def judge(  # noqa: PLR0913 - what can be asked
    session: Session,
    instance: Viewed,
    *,
    fail_on: Annotated[
        Severity, Query(alias="failOn", description="From which severity on it fails.")
    ] = Severity.HIGH,
    branch: Annotated[str, Query(max_length=200, description="Without it the main one.")] = "",
    against: Annotated[
        str | None, Query(max_length=200, description="Do not count what this branch has.")
    ] = None,
    source: Annotated[str, Query(max_length=200, description="Named by this source.")] = "",
    commit: Annotated[str, Query(max_length=64, description="Which must be scanned.")] = "",
) -> GateAnswer:
    """Whether nothing at least so grave is open on a branch, without what is accepted or false.

    A branch that was not scanned does not pass.
    """
    asked = gating.Question(
        fail_on=fail_on, branch=branch, against=against, source=source, commit=commit
    )
    verdict = gating.judge(session, instance.id, asked, now=utc_now())
    return GateAnswer(
        passed=verdict.passed,
        reason=verdict.reason,
        branch=verdict.branch,
        against=verdict.against,
        fail_on=fail_on,
        failing=verdict.failing,
        counts=SeverityCounts(**{str(one): count for one, count in verdict.counts.items()}),
        findings=[VulnerabilityAnswer.model_validate(one) for one in verdict.findings],
    )


@router.get(
    "/api/instances/{instance_id}/vulnerabilities/settings",
    summary="How scans are taken",
    operation_id="get_vulnerability_settings",
)
def get_settings(session: Session, instance: Viewed) -> VulnerabilitySettingsAnswer:
    """Which branch is the main one."""
    return VulnerabilitySettingsAnswer(main_branch=settings.main_branch_of(session, instance.id))


@router.put(
    "/api/instances/{instance_id}/vulnerabilities/settings",
    summary="Change how scans are taken",
    operation_id="change_vulnerability_settings",
)
def change_settings(
    session: Session, instance: Administered, body: VulnerabilitySettingsBody
) -> VulnerabilitySettingsAnswer:
    """Say which branch is the main one: its scans tell what is true of the instance."""
    row = settings.change_main_branch(session, instance, body.main_branch, now=utc_now())
    return VulnerabilitySettingsAnswer(main_branch=row.main_branch)


@router.get(
    "/api/instances/{instance_id}/vulnerabilities/{finding_id:id}",
    summary="One vulnerability",
    operation_id="get_vulnerability",
)
def get_vulnerability(session: Session, instance: Viewed, finding_id: str) -> VulnerabilityDetails:
    """A finding with all that its scanner wrote about it."""
    return VulnerabilityDetails.model_validate(
        deciding.get_finding(session, instance.id, finding_id)
    )


@router.patch(
    "/api/instances/{instance_id}/vulnerabilities/{finding_id:id}",
    summary="Decide of a vulnerability",
    operation_id="decide_vulnerability",
)
def decide(
    session: Session, instance: Administered, finding_id: str, body: VulnerabilityDecision
) -> VulnerabilityDetails:
    """Accept it until a time, call it false, or open it again; it is kept who did and why."""
    decision = Decision.NONE if body.status == "open" else Decision(body.status)
    finding = deciding.decide(
        session,
        instance,
        finding_id,
        decision,
        reason=body.reason,
        until=body.until,
        now=utc_now(),
    )
    return VulnerabilityDetails.model_validate(finding)


def _take(instance: InstanceRef, body: bytes, about: About) -> ScanAnswer:
    """Read a scan before the transaction begins, so that no writer waits for it."""
    read = read_scan(body)
    with transaction() as session:
        scan = record_scan(session, instance, read, about, now=utc_now())
        return ScanAnswer.model_validate(scan)


async def _charge(instance_id: str) -> None:
    """Charge one upload to the instance. Raises the refusal when too many came."""
    quota = of(VulnerabilitySettingsOfServer).vulnerabilities_uploads_per_hour
    await charge_hourly("vulnerability-scans", instance_id, quota=quota, now=utc_now())


router.include_router(uploads)
