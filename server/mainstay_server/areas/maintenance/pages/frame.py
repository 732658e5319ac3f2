"""What the pages of maintenance share: who may, what stands around them, how they are asked."""

from typing import Annotated, Any

from fastapi import Depends
from sqlalchemy.orm import Session
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.maintenance.service.windows import Occurrence
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.watching import list_watched
from mainstay_server.tenancy import access
from mainstay_server.tenancy.frame import project_frame
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef, instances_of_project
from mainstay_server.ui import render

from .forms import words_of

PREFIX = "/dashboard/projects/{slug}/maintenance"
MOST_NAMED = 5

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]


async def _form_of(request: Request) -> FormData:
    return await request.form()


Form = Annotated[FormData, Depends(_form_of)]


def home(project: ProjectRef) -> str:
    """The path of the list."""
    return f"/dashboard/projects/{project.slug}/maintenance"


def page_of(
    request: Request,
    session: Session,
    project: ProjectRef,
    part: str,
    **context: Any,  # noqa: ANN401 - a template's names
) -> Response:
    """One of the pages."""
    return render(
        request,
        f"maintenance/{part}.html",
        **project_frame(request, session, project, page="maintenance", now=utc_now()),
        base=home(project),
        words=words_of,
        length=lambda each: words_of(round((each.ended_at - each.started_at).total_seconds() / 60)),
        **context,
    )


class Names:
    """What a project's maintenance covers, in words."""

    def __init__(self, session: Session, project: ProjectRef) -> None:
        instances = instances_of_project(session, project.id)
        self._instances = {each.id: each.environment for each in instances}
        self._watched = {each.id: each.name for each in list_watched(session, project.id)}

    def __call__(self, window: Occurrence) -> str:
        """What a window covers: `the whole project`, or `production: tagged db`."""
        plan = window.plan
        instances = [self._instances.get(one, "a removed instance") for one in plan.instance_ids]
        subjects = [self._watched.get(one, "a removed subject") for one in plan.subject_ids]
        what = [*(f"tagged {tag}" for tag in plan.tags), *subjects]
        if not what:
            return _listed(instances) if instances else "the whole project"
        where = f"{_listed(instances)}: " if instances else ""
        return where + _listed(what)


def _listed(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
