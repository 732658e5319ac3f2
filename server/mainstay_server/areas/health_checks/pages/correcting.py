"""Correcting the past of one health check, with the reason that is asked for."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Form
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.health_checks.schemas.past import NewCorrection
from mainstay_server.areas.health_checks.service import correcting, listing
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.frame import done_or_refused, redirect_with
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef

router = Router(include_in_schema=False)

Administered = Annotated[ProjectRef, access.project(Role.ADMIN)]
Text = Annotated[str, Form(max_length=300)]


@router.post("/dashboard/projects/{slug}/health-checks/{check_id:id}/correct")
def correct(  # noqa: PLR0913, PLR0917 - the fields of the form
    request: Request,
    session: Session,
    project: Administered,
    check_id: str,
    state: Text,
    since: Text,
    until: Text,
    reason: Text,
) -> Response:
    """Say what a past range really was; times are UTC."""
    check = listing.get_check_of_project(session, project.id, check_id)
    here = f"/dashboard/projects/{project.slug}/health-checks/{check.id}"
    try:
        times = {"from": _utc(since), "to": _utc(until)}
        said = NewCorrection.model_validate({"state": state, "reason": reason, **times})
    except (ValidationError, ValueError):
        wanted = "Give a state, a time from before to, and a reason of at least three letters."
        return redirect_with(here, wanted, "critical")
    caller: Caller = request.state.caller
    return done_or_refused(
        session,
        lambda: correcting.correct_past(session, check, said, by=caller.person_name, now=utc_now()),
        path=here,
        done="Corrected: uptime is added up anew, and the audit log keeps what stood there.",
    )


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
