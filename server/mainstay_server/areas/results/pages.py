"""The pages of results: the history of a series, and one upload compared with another."""

from typing import Annotated, Any

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.kernel.area import MenuEntry
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.frame import done_or_refused, may_administer, project_frame
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import render

from .models import CaseStatus, Kind
from .schemas.parsed import Parsed
from .service import comparing, forgetting, listing, uploading

PREFIX = "/dashboard/projects/{slug}/results"
PER_PAGE = 50
MOST_NUMBERS = 100
TITLES = {
    Kind.TEST_REPORT: "Tests",
    Kind.RUN_LEDGER: "Runs",
    Kind.ANALYSIS: "Analyses",
}

router = Router(include_in_schema=False)

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Administered = Annotated[ProjectRef, access.project(Role.ADMIN)]


@router.get(PREFIX)
def show_results(request: Request, session: Session, project: Viewed) -> Response:
    """What was uploaded, newest first, with how it went over time."""
    asked = request.query_params
    series = listing.series_of(session, project.id)
    chosen = listing.Chosen(
        kind=next((kind for kind in Kind if kind == asked.get("kind")), None),
        name=asked.get("name", "")[:200],
        branch=asked.get("branch", "")[:200],
    )
    page = listing.list_uploads(
        session, project.id, chosen, limit=PER_PAGE, cursor=asked.get("cursor", "")
    )
    newest = page.items[0] if page.items else None
    return _page(
        request,
        session,
        project,
        "list",
        series=series,
        chosen=chosen,
        uploads=page.items,
        next_cursor=page.next_cursor,
        newest=newest,
        chart=_chart(listing.history_of(session, newest)) if newest else None,
    )


@router.get(PREFIX + "/{result_id:id}")
def show_result(request: Request, session: Session, project: Viewed, result_id: str) -> Response:
    """One upload: what is different since another, and all of its cases and numbers."""
    asked = request.query_params
    upload = uploading.get_upload(session, project.id, result_id)
    parsed = uploading.parsed_of(upload)
    wanted = asked.get("against", "")
    base = comparing.find_base(session, upload)
    if wanted:
        base = uploading.get_upload(session, project.id, wanted[:36])
        comparing.refuse_other_kinds(upload, base)
    before = uploading.parsed_of(base) if base else Parsed()
    text = asked.get("q", "")[:200]
    status = next((one for one in CaseStatus if one == asked.get("status")), None)
    page = listing.list_cases(
        parsed, status=status, text=text, limit=PER_PAGE, cursor=asked.get("cursor", "")
    )
    return _page(
        request,
        session,
        project,
        "result",
        upload=upload,
        comparison=comparing.compare(before, parsed, against=base),
        others=[each for each in listing.history_of(session, upload)[::-1] if each is not upload],
        cases=page.items,
        next_cursor=page.next_cursor,
        text=text,
        status=status,
        numbers=list(parsed.metrics.items())[:MOST_NUMBERS],
    )


@router.post(PREFIX + "/{result_id:id}/remove")
def remove_result(session: Session, project: Administered, result_id: str) -> Response:
    """Remove an upload of results."""
    return done_or_refused(
        session,
        lambda: forgetting.remove_upload(session, project, result_id, now=utc_now()),
        path=f"/dashboard/projects/{project.slug}/results",
        done="The results were removed.",
    )


def _chart(history: Any) -> dict[str, Any]:  # noqa: ANN401 - uploads, oldest first
    """How the uploads of a series went, as the chart wants it: bars, the failures at the bottom."""
    times = [int(each.received_at.timestamp()) for each in history]
    shown = (
        ("Failed", "critical", "failed"),
        ("Skipped", "warn", "skipped"),
        ("Passed", "ok", "passed"),
    )
    series = [
        {"label": label, "tone": tone, "values": [getattr(each, field) for each in history]}
        for label, tone, field in shown
    ]
    return {"times": times, "series": series}


def _page(
    request: Request,
    session: Session,
    project: ProjectRef,
    part: str,
    **context: Any,  # noqa: ANN401 - a template's names
) -> Response:
    return render(
        request,
        f"results/{part}.html",
        **project_frame(request, session, project, page="results", now=utc_now()),
        base=f"/dashboard/projects/{project.slug}/results",
        api=f"/api/projects/{project.slug}/results",
        server=base_url(request),
        may_administer=may_administer(request),
        TITLES=TITLES,
        **context,
    )


menu = MenuEntry(label="Results", page="results", icon="check", group="ship", order=30)
