"""Runbooks as people write them: the list, the form with a preview, and what its buttons do."""

from typing import Annotated

from fastapi import Form
from fastapi.responses import HTMLResponse, Response
from pydantic import Field
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.alerts.schemas.runbooks import LONGEST_BODY, LONGEST_NAME
from mainstay_server.areas.alerts.service import runbooks
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.web import Body, Router
from mainstay_server.tenancy.frame import done_or_refused, redirect_with
from mainstay_server.ui import fragment

from .frame import PREFIX, WORDS, Text, Viewed, Written, frame_of, page_of, url_of

router = Router(prefix=PREFIX, include_in_schema=False)

EXAMPLE = {
    "project": "Inspections",
    "environment": "production",
    "url": "https://inspections.example",
    "title": "inspections production: Responses are slow",
    "message": "Response time, 95th percentile: 5,400 ms over the last 5 min; high is above"
    " 5,000 ms.",
    "severity": "high",
    "type": "threshold_passed",
    "since": "1 Mar 2026, 12:00 UTC",
    "count": "1",
    "rule": "Responses are slow",
    "measure": "requests.p95_ms",
    "value": "5,400 ms",
    "threshold": "5,000 ms",
}


class RunbookForm(Body):
    """The form of a runbook."""

    csrf_token: str = Field("", alias="csrf_token")
    instance: str = Field("", max_length=64)
    runbook_id: str = Field("", max_length=36)
    name: str = Field("", max_length=LONGEST_NAME)
    body: str = Field("", max_length=LONGEST_BODY)


@router.get("/runbooks")
def show_runbooks(request: Request, session: Session, project: Viewed) -> Response:
    """What the project wrote, and what ships with Mainstay for which types."""
    shipped: dict[str, list[str]] = {}
    for kind, name in runbooks.SHIPPED.items():
        shipped.setdefault(name, []).append(WORDS[kind])
    return page_of(
        request,
        session,
        frame_of(request, session, project),
        "runbooks",
        runbooks=runbooks.list_runbooks(session, project.id),
        shipped=shipped,
    )


@router.get("/runbooks/{runbook_id}")
def show_form(request: Request, session: Session, project: Viewed, runbook_id: str) -> Response:
    """The form of a runbook, of a `new` one, or of one that begins as a shipped one does."""
    found, body = None, ""
    if runbook_id in set(runbooks.SHIPPED.values()):
        body = runbooks.shipped_body(runbook_id)
    elif runbook_id != "new":
        found = runbooks.get_runbook(session, project.id, runbook_id)
        body = found.body
    return page_of(
        request,
        session,
        frame_of(request, session, project),
        "runbook",
        runbook=found,
        body=body,
        preview=runbooks.filled_in(body, EXAMPLE),
        names=sorted(EXAMPLE),
    )


@router.post("/runbook-preview")
def preview(
    request: Request, project: Written, form: Annotated[RunbookForm, Form()]
) -> HTMLResponse:
    """What an alert would show, with values of an example."""
    _ = project
    shown = runbooks.filled_in(form.body, EXAMPLE)
    return HTMLResponse(fragment(request, "alerts/runbook_preview.html", preview=shown))


@router.post("/runbooks")
def save_runbook(
    session: Session, project: Written, form: Annotated[RunbookForm, Form()]
) -> Response:
    """Write a runbook, or change one."""
    try:
        with session.begin_nested():
            runbooks.write_runbook(
                session,
                project,
                form.runbook_id or None,
                name=form.name.strip() or "Runbook",
                body=form.body.replace("\r\n", "\n"),
                now=utc_now(),
            )
    except Problem as problem:
        page = url_of(project, f"alerts/runbooks/{form.runbook_id or 'new'}", form.instance)
        return redirect_with(page, problem.detail, "critical")
    return redirect_with(url_of(project, "alerts/runbooks", form.instance), "Saved.")


@router.post("/runbooks/{runbook_id}/remove")
def remove_runbook(
    session: Session, project: Written, runbook_id: str, instance: Text = ""
) -> Response:
    """Remove a runbook."""
    return done_or_refused(
        session,
        lambda: runbooks.remove_runbook(session, project, runbook_id, now=utc_now()),
        path=url_of(project, "alerts/runbooks", instance),
        done="Removed.",
    )
