"""The pages of vulnerabilities: the list with its trend, one finding, the scans, and a panel."""

from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any

from fastapi import Form
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.kernel.area import MenuEntry, Panel, PanelRequest
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.frame import done_or_refused, may_administer, project_frame
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef, instances_of_project
from mainstay_server.ui import fragment, render

from .models import Decision, Severity, Status
from .service import deciding, listing, settings, trends

PREFIX = "/dashboard/projects/{slug}/vulnerabilities"
PER_PAGE = 50
IN_PANEL = 5
TREND_DAYS = 90
TONES = {
    Severity.CRITICAL: "critical",
    Severity.HIGH: "warn",
    Severity.MEDIUM: "info",
    Severity.LOW: "neutral",
    Severity.UNKNOWN: "neutral",
}
WORDS = {
    Status.OPEN: ("open", "Open"),
    Status.ACCEPTED: ("muted", "Accepted"),
    Status.FALSE_POSITIVE: ("closed", "False positive"),
    Status.FIXED: ("resolved", "Fixed"),
    Status.UNMERGED: ("pending", "On a branch"),
}
ENDS = {"7": "7 days", "30": "30 days", "90": "90 days", "365": "a year", "never": "for good"}

router = Router(include_in_schema=False)

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Administered = Annotated[InstanceRef, access.instance(Role.ADMIN)]


@router.get(PREFIX)
def show_findings(request: Request, session: Session, project: Viewed) -> Response:
    """What scans found in an instance: filtered, with how many were open on each day."""
    frame = project_frame(request, session, project, page="vulnerabilities", now=utc_now())
    instance, asked = frame["instance"], request.query_params
    counts = listing.count_by_status(session, instance.id)
    chosen = listing.FindingFilter(
        status=_one_of(Status, asked.get("status"), "all", Status.OPEN),
        severity=_one_of(Severity, asked.get("severity"), "", None),
        text=asked.get("q", "")[:200],
    )
    found = listing.list_findings(
        session, instance.id, chosen, limit=PER_PAGE, cursor=asked.get("cursor", "")
    )
    return _page(
        request,
        frame,
        "list",
        counts=counts,
        anything=any(counts.values()),
        open_now=trends.open_by_severity(session, [instance.id])[instance.id],
        sources=listing.sources_of(session, instance.id),
        trend=_chart(session, instance.id, frame["now"]),
        chosen=chosen,
        findings=found.items,
        next_cursor=found.next_cursor,
    )


@router.get(PREFIX + "/scans")
def show_scans(request: Request, session: Session, project: Viewed) -> Response:
    """What was uploaded, and what each upload changed."""
    frame = project_frame(request, session, project, page="vulnerabilities", now=utc_now())
    instance = frame["instance"]
    page = listing.list_scans(
        session, instance.id, limit=PER_PAGE, cursor=request.query_params.get("cursor", "")
    )
    return _page(
        request,
        frame,
        "scans",
        scans=page.items,
        next_cursor=page.next_cursor,
        main_branch=settings.main_branch_of(session, instance.id),
    )


@router.get(PREFIX + "/{finding_id:id}")
def show_finding(request: Request, session: Session, project: Viewed, finding_id: str) -> Response:
    """One finding: where, since when, what mends it, who sees it, and what was decided."""
    instances = instances_of_project(session, project.id)
    finding, instance = deciding.get_finding_of_any(session, instances, finding_id)
    frame = project_frame(request, session, project, page="vulnerabilities", now=utc_now())
    return _page(
        request,
        frame | {"instance": instance},
        "finding",
        finding=finding,
        seen_by=listing.seen_by(session, finding.id),
        main_branch=settings.main_branch_of(session, instance.id),
    )


@router.post(PREFIX + "/{instance_id:id}/{finding_id:id}/decide")
def decide(
    session: Session,
    instance: Administered,
    finding_id: str,
    *,
    decision: Annotated[str, Form(max_length=20)] = "open",
    reason: Annotated[str, Form(max_length=500)] = "",
    lasts: Annotated[str, Form(max_length=10)] = "90",
) -> Response:
    """Accept a finding, call it false, or open it again."""
    now = utc_now()

    def act() -> None:
        wanted = _decision(decision)
        until = _end(lasts, now=now) if wanted is Decision.ACCEPTED else None
        deciding.decide(session, instance, finding_id, wanted, reason=reason, until=until, now=now)

    base = f"/dashboard/projects/{instance.project_slug}/vulnerabilities"
    return done_or_refused(
        session, act, path=f"{base}/{finding_id}", done="Kept, with who and why."
    )


@router.post(PREFIX + "/{instance_id:id}/main-branch")
def change_main_branch(
    session: Session,
    instance: Administered,
    name: Annotated[str, Form(min_length=1, max_length=200)],
) -> Response:
    """Say which branch is the main one."""
    return done_or_refused(
        session,
        lambda: settings.change_main_branch(session, instance, name.strip(), now=utc_now()),
        path=f"/dashboard/projects/{instance.project_slug}/vulnerabilities/scans"
        f"?instance={instance.id}",
        done=f"Scans of {name.strip()} tell what is open now.",
    )


def draw_panel(asked: PanelRequest) -> str:
    """How many are open by severity, when it was last scanned, and the gravest few."""
    instance = asked.instance
    gravest = listing.list_findings(
        asked.session, instance.id, listing.FindingFilter(status=Status.OPEN), limit=IN_PANEL
    )
    return fragment(
        asked.request,
        "vulnerabilities/panel.html",
        instance=instance,
        base=f"/dashboard/projects/{instance.project_slug}/vulnerabilities",
        open_now=trends.open_by_severity(asked.session, [instance.id])[instance.id],
        sources=listing.sources_of(asked.session, instance.id),
        findings=gravest.items,
        TONES=TONES,
        now=asked.now,
    )


def _page(request: Request, frame: dict[str, Any], part: str, **context: Any) -> Response:  # noqa: ANN401 - a template's names
    return render(
        request,
        f"vulnerabilities/{part}.html",
        **frame,
        part=part,
        base=f"/dashboard/projects/{frame['project'].slug}/vulnerabilities",
        server=base_url(request),
        may_administer=may_administer(request),
        TONES=TONES,
        WORDS=WORDS,
        ENDS=ENDS,
        **context,
    )


def _one_of(kind: Any, value: str | None, for_all: str, default: Any) -> Any:  # noqa: ANN401 - an enum and one of its members
    """The member that was asked for; None for all of them."""
    if value == for_all and value is not None:
        return None
    return next((one for one in kind if one == value), default)


def _chart(session: Session, instance_id: str, now: datetime) -> dict[str, Any]:
    """The trend as the chart wants it: a bar for each day, the gravest at the bottom."""
    days = trends.open_by_day(session, instance_id, days=TREND_DAYS, now=now)
    times = [int(datetime.combine(day, time(), UTC).timestamp()) for day, _ in days]
    series = [
        {
            "label": severity.value.capitalize(),
            "tone": TONES[severity],
            "values": [counts[severity] if counts else None for _, counts in days],
        }
        for severity in Severity
        if severity is not Severity.UNKNOWN or any(c and c[severity] for _, c in days)
    ]
    return {"times": times, "series": series}


def _decision(text: str) -> Decision:
    if text == "open":
        return Decision.NONE
    if text in (Decision.ACCEPTED, Decision.FALSE_POSITIVE):
        return Decision(text)
    raise Invalid("That cannot be decided; choose one of the buttons.")


def _end(lasts: str, *, now: datetime) -> datetime | None:
    if lasts not in ENDS:
        raise Invalid("Choose from the list for how long it is accepted.")
    return None if lasts == "never" else now + timedelta(days=int(lasts))


panel = Panel(
    page="security", name="vulnerabilities", title="Vulnerabilities", order=60, draw=draw_panel
)
menu = MenuEntry(
    label="Vulnerabilities", page="vulnerabilities", icon="target", group="guard", order=60
)
