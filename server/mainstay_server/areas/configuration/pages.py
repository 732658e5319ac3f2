"""The page of a project's configuration: what it is now, a plan for what it could be, and who."""

from typing import Annotated, Any

from fastapi import Form
from pydantic import Field
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.kernel.area import MenuEntry
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.web import Body, Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.frame import may_administer, project_frame, redirect_with
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import render

from .schemas import Asked, Plan, PlanAnswer
from .service import applying, exporting, history
from .service.telling import answer_of

PAGE = "configuration"
PREFIX = "/dashboard/projects/{slug}/" + PAGE
MOST_APPLIED_SHOWN = 10
# What a form of a browser carries; longer documents come by the command line.
LONGEST_DOCUMENT = 600_000
MOST_ROWS = 30
MOST_STEPS_SHOWN = 200
TONES = {"create": "ok", "change": "warn", "remove": "critical"}

router = Router(include_in_schema=False)

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]


class DocumentForm(Body):
    """A document as a browser sends it; `variables` are lines of `NAME=value`."""

    csrf_token: str = Field("", alias="csrf_token")
    document: str = Field("", max_length=LONGEST_DOCUMENT)
    variables: str = Field("", max_length=LONGEST_DOCUMENT)
    prune: str = ""
    fingerprint: str = Field("", max_length=100)

    def asked(self) -> Asked:
        """What it asks; browsers end lines with two characters."""
        pairs = (line.partition("=") for line in self.variables.splitlines())
        return Asked(
            document=self.document.replace("\r\n", "\n"),
            variables={name.strip(): value.strip() for name, _, value in pairs if name.strip()},
            prune=bool(self.prune),
            fingerprint=self.fingerprint,
        )


@router.get(PREFIX)
def show_configuration(request: Request, session: Session, project: Viewed) -> Response:
    """The project as a document, a form that plans another, and who applied what."""
    return _page(request, session, project, form=DocumentForm())


@router.post(PREFIX + "/plan")
def plan_configuration(
    request: Request,
    session: Session,
    project: Written,
    form: Annotated[DocumentForm, Form()],
) -> Response:
    """Show what a document would change, and offer to apply it."""
    refused: Problem | None = None
    planned: Plan | None = None
    try:
        planned = applying.plan(
            session,
            project,
            form.asked().model_copy(update={"fingerprint": ""}),
            may_administer=may_administer(request),
            now=utc_now(),
        )
    except Problem as problem:
        refused = problem
    answer = answer_of(project, planned, applied=False) if planned else None
    return _page(request, session, project, form=form, plan=answer, refused=refused)


@router.post(PREFIX + "/apply")
def apply_configuration(
    request: Request,
    session: Session,
    project: Written,
    form: Annotated[DocumentForm, Form()],
) -> Response:
    """Apply a document whose plan was seen; when the plan is another by now, show that instead."""
    try:
        with session.begin_nested():
            done = applying.apply(
                session,
                project,
                form.asked(),
                may_administer=may_administer(request),
                now=utc_now(),
            )
    except Problem as problem:
        return _page(request, session, project, form=form, refused=problem)
    answer = answer_of(project, done, applied=True)
    return redirect_with(
        f"/dashboard/projects/{project.slug}/{PAGE}",
        f"Applied: {answer.created} created, {answer.changed} changed, {answer.removed} removed.",
    )


def _page(
    request: Request,
    session: Session,
    project: ProjectRef,
    *,
    form: DocumentForm,
    plan: PlanAnswer | None = None,
    refused: Problem | None = None,
) -> Response:
    exported = exporting.export_document(
        session, applying.about(session, project), server=base_url(request)
    )
    context: dict[str, Any] = {
        "exported": exported,
        "form": form,
        "plan": plan,
        "refused": refused,
        "shown_changes": plan.changes[:MOST_STEPS_SHOWN] if plan else [],
        "applied": history.list_applied(session, project.id, limit=MOST_APPLIED_SHOWN).items,
    }
    return render(
        request,
        "configuration/configuration.html",
        **project_frame(request, session, project, page=PAGE, now=utc_now()),
        base=f"/dashboard/projects/{project.slug}/{PAGE}",
        server=base_url(request),
        rows=min(max(form.document.count("\n") + 2, 8), MOST_ROWS),
        TONES=TONES,
        **context,
    )


menu = MenuEntry(label="Configuration", page=PAGE, icon="code", group="project", order=10)
