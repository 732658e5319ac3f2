"""Templates: the list, the form of one's own with its live preview, and removing one."""

from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.email.models import EmailKind
from mainstay_server.areas.email.schemas.api import A_TEMPLATE, TemplateBody
from mainstay_server.areas.email.service import looks, templates
from mainstay_server.areas.email.service.writing import Letter
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.problems import Invalid, Problem
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.frame import done_or_refused, redirect_with
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import render

from .frame import IN_A_FRAME, PREFIX, Source, Text, Viewed, Written, page_of, url_of

router = Router()

TEMPLATES = PREFIX + "/templates"
NEW = {"name": "", **A_TEMPLATE}
FIELDS = ("kind", "subject", "html", "text")


@router.get(TEMPLATES)
def show_templates(request: Request, session: Session, project: Viewed) -> Response:
    """The organization's own templates and those that come with Mainstay."""
    found = templates.list_templates(session, project.organization_id)
    return page_of(request, session, project, "templates", found=found)


@router.get(TEMPLATES + "/new")
def show_new(request: Request, session: Session, project: Written) -> Response:
    """An empty form with an example in it."""
    return _form(request, session, project, NEW, is_new=True)


@router.get(TEMPLATES + "/{name}")
def show_template(request: Request, session: Session, project: Viewed, name: str) -> Response:
    """One template: its source where it is one's own, and how it looks."""
    found = templates.get_template(session, project.organization_id, name)
    if found.built_in:
        return page_of(request, session, project, "template", found=found)
    return _form(request, session, project, found.model_dump(), is_new=False)


@router.get(TEMPLATES + "/{name}/preview")
def show_preview(request: Request, session: Session, project: Viewed, name: str) -> Response:
    """How a template looks with its example, for a frame."""
    brand = looks.brand_of(session, project.organization_id)
    return _seen(request, templates.preview(session, project.organization_id, name, None, brand))


@router.post(TEMPLATES + "/preview")
def try_template(  # noqa: PLR0913 - the fields of the form
    request: Request,
    project: Written,
    *,
    name: Text = "",
    kind: Text = "transactional",
    subject: Text = "",
    html: Source = "",
    text: Source = "",
    example: Source = "",
) -> Response:
    """How what stands in the form would look, for a frame; nothing is kept."""
    given = _given(kind, subject, html, text, example)
    with reading() as session:
        brand = looks.brand_of(session, project.organization_id)
    try:
        letter = templates.try_out(name or "new", _body_of(given), brand)
    except Problem as problem:
        return _in_frame(render(request, "email/seen.html", letter=None, problem=_said_by(problem)))
    return _seen(request, letter)


@router.post(TEMPLATES)
def save_template(  # noqa: PLR0913 - the fields of the form
    request: Request,
    project: Written,
    *,
    name: Text = "",
    kind: Text = "transactional",
    subject: Text = "",
    html: Source = "",
    text: Source = "",
    example: Source = "",
    is_new: Text = "",
) -> Response:
    """Keep a template, or show the form again with what is wrong."""
    given = _given(kind, subject, html, text, example)
    try:
        name = templates.checked_name(name)
        body = _body_of(given)
        with reading() as session:
            brand = looks.brand_of(session, project.organization_id)
        templates.try_out(name, body, brand)
        with transaction() as session:
            if is_new:
                templates.refuse_taken(session, project.organization_id, name)
            templates.save_template(session, project.organization_id, name, body, now=utc_now())
    except Problem as problem:
        faults = {str(e["field"]): str(e["message"]) for e in problem.errors}
        with reading() as session:
            return _form(
                request,
                session,
                project,
                {"name": name, **given},
                is_new=bool(is_new),
                problem=problem.detail,
                faults=faults,
                status_code=problem.status,
            )
    return redirect_with(url_of(project, f"/templates/{name}"), f"The template {name} was saved.")


@router.post(TEMPLATES + "/{name}/remove")
def remove_template(session: Session, project: Written, name: str) -> Response:
    """Remove one of the organization's own templates."""
    return done_or_refused(
        session,
        lambda: templates.remove_template(session, project.organization_id, name, now=utc_now()),
        path=url_of(project, "/templates"),
        done=f"The template {name} was removed.",
    )


def _form(  # noqa: PLR0913 - what a form shows
    request: Request,
    session: Session,
    project: ProjectRef,
    given: Mapping[str, Any],
    *,
    is_new: bool,
    problem: str = "",
    faults: Mapping[str, str] | None = None,
    status_code: int = 200,
) -> Response:
    example = given["example"]
    shown = example if isinstance(example, str) else _indented(example)
    return page_of(
        request,
        session,
        project,
        "template_form",
        given={**given, "example": shown},
        is_new=is_new,
        problem=problem,
        faults=faults or {},
        kinds=[
            (EmailKind.TRANSACTIONAL.value, "An answer to something its reader did"),
            (EmailKind.SUBSCRIPTION.value, "One that its reader can unsubscribe from"),
        ],
        status_code=status_code,
    )


def _given(kind: str, subject: str, html: str, text: str, example: str) -> dict[str, Any]:
    return {"kind": kind, "subject": subject, "html": html, "text": text, "example": example}


def _body_of(given: Mapping[str, Any]) -> TemplateBody:
    """What a form holds, as the API takes it. Raises `Invalid` for what it does not take."""
    try:
        example = msgspec.json.decode(given["example"] or "{}", type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Invalid.of_field(
            "example", f"The example must be an object in JSON: {error}."
        ) from None
    try:
        return TemplateBody.model_validate({**given, "example": example})
    except ValidationError as error:
        faults = [
            {"field": str(fault["loc"][0]), "message": fault["msg"]}
            for fault in error.errors(include_url=False)
        ]
        raise Invalid("The template is not whole yet.", errors=faults) from None


def _seen(request: Request, letter: Letter) -> Response:
    return _in_frame(render(request, "email/seen.html", letter=letter, problem=""))


def _in_frame(answer: Response) -> Response:
    answer.headers.update(IN_A_FRAME)
    return answer


def _said_by(problem: Problem) -> str:
    return "; ".join(f"{e['field']}: {e['message']}" for e in problem.errors) or problem.detail


def _indented(example: object) -> str:
    return msgspec.json.format(msgspec.json.encode(example), indent=2).decode()
