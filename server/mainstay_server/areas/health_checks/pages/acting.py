"""The buttons of one health check: ask now, pause, resume, remove."""

from typing import Annotated

from sqlalchemy.orm import Session
from starlette.responses import Response

from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.schemas.orders import Finished
from mainstay_server.areas.health_checks.service import asking, checks, listing
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.frame import done_or_refused, redirect_with
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui.formats import duration_ms

from .words import TONES

PREFIX = "/dashboard/projects/{slug}/health-checks/{check_id:id}"

router = Router(include_in_schema=False)

Written = Annotated[ProjectRef, access.project(Role.MEMBER)]


@router.post(PREFIX + "/run")
def run_now(project: Written, check_id: str) -> Response:
    """Ask now and say what was found."""
    with reading() as session:
        check = listing.get_check_of_project(session, project.id, check_id)
    here = _here(project, check)
    try:
        found = asking.ask_now(check.id, clock=utc_now)
    except Problem as problem:
        return redirect_with(here, problem.detail, "warn")
    text, tone = words_for(found)
    return redirect_with(here, text, tone)


@router.post(PREFIX + "/pause")
def pause(session: Session, project: Written, check_id: str) -> Response:
    """Stop asking until somebody resumes it."""
    check = listing.get_check_of_project(session, project.id, check_id)
    checks.pause_check(session, check, now=utc_now())
    return redirect_with(_here(project, check), "Paused: this time does not count for uptime.")


@router.post(PREFIX + "/resume")
def resume(session: Session, project: Written, check_id: str) -> Response:
    """Ask again, at once."""
    check = listing.get_check_of_project(session, project.id, check_id)
    checks.resume_check(session, check, now=utc_now())
    return redirect_with(_here(project, check), "Resumed: it is being asked now.")


@router.post(PREFIX + "/remove")
def remove(session: Session, project: Written, check_id: str) -> Response:
    """Remove a check with its history, and go back to the list."""
    check = listing.get_check_of_project(session, project.id, check_id)
    name, here = check.name, _here(project, check)
    if check.default_of:
        return redirect_with(
            here,
            "This check follows its instance: pause it, or empty the instance's URL.",
            "critical",
        )
    return done_or_refused(
        session,
        lambda: checks.remove_check(session, check, now=utc_now()),
        path=f"/dashboard/projects/{project.slug}/health-checks",
        done=f"{name} is removed, with its history.",
    )


def words_for(found: Finished) -> tuple[str, str]:
    """What a try that was asked for found, as a sentence, and its tone."""
    result = found.result
    if result is None:
        return found.why_not or "Mainstay was too busy to ask; try again in a moment.", "warn"
    about = result.reason or (
        f"answered {result.status_code}" if result.status_code else "answered as it should"
    )
    took = duration_ms(result.response_ms)
    return f"Asked now: {result.state}, {about} ({took}).", TONES[result.state]


def _here(project: ProjectRef, check: HealthCheck) -> str:
    return f"/dashboard/projects/{project.slug}/health-checks/{check.id}"
