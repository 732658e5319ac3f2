"""An organization's templates, over HTTP."""

from typing import Annotated

from fastapi import Path
from sqlalchemy.orm import Session

from mainstay_server.areas.email.schemas.api import (
    PreviewAnswer,
    PreviewBody,
    TemplateAnswer,
    TemplateBody,
    TemplatesAnswer,
)
from mainstay_server.areas.email.service import looks, templates
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, page_within
from mainstay_server.kernel.web import Cursor, Limit, Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Role

router = Router()

ONE = "/api/email-templates/{name}"
Viewer = Annotated[Caller, access.organization(Role.VIEWER, about="project")]
Member = Annotated[Caller, access.organization(Role.MEMBER, about="project")]
Name = Annotated[
    str,
    Path(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$",
        description="Its name: small letters, digits, _ and -.",
        examples=["order_paid"],
    ),
]


@router.get("/api/email-templates", summary="List templates", operation_id="list_email_templates")
def list_email_templates(
    session: Session, caller: Viewer, *, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> TemplatesAnswer:
    """The organization's own templates and those that come with Mainstay, by name."""
    found = templates.list_templates(session, caller.organization_id)
    page = page_within(found, limit=limit, cursor=cursor, key=lambda each: (each.name,))
    return TemplatesAnswer(templates=list(page.items), next_cursor=page.next_cursor)


@router.get(ONE, summary="One template", operation_id="get_email_template")
def get_email_template(session: Session, caller: Viewer, name: Name) -> TemplateAnswer:
    """One template with its source."""
    return templates.get_template(session, caller.organization_id, name)


@router.put(ONE, summary="Write a template", operation_id="put_email_template")
def put_email_template(caller: Member, name: Name, body: TemplateBody) -> TemplateAnswer:
    """Write a template, new or anew; it is kept only if it can be filled with its own example.

    It is Jinja's expressions, `if` and `for`, with the parts `badge`, `button`, `link`, `facts` and
    `table`. One of the name of a template that comes with Mainstay takes its place.
    """
    with reading() as session:
        brand = looks.brand_of(session, caller.organization_id)
    templates.try_out(name, body, brand)
    with transaction() as session:
        row = templates.save_template(session, caller.organization_id, name, body, now=utc_now())
        return templates.told(row)


@router.delete(
    ONE, summary="Remove a template", operation_id="remove_email_template", status_code=204
)
def remove_email_template(session: Session, caller: Member, name: Name) -> None:
    """Remove one of the organization's own templates."""
    templates.remove_template(session, caller.organization_id, name, now=utc_now())


@router.post(ONE + "/preview", summary="Preview a template", operation_id="preview_email_template")
def preview_email_template(caller: Member, name: Name, body: PreviewBody) -> PreviewAnswer:
    """A template as a mail, with its own example or other data; nothing is kept or sent."""
    with reading() as session:
        brand = looks.brand_of(session, caller.organization_id)
        letter = templates.preview(session, caller.organization_id, name, body.data, brand)
    return PreviewAnswer(subject=letter.subject, html=letter.html, text=letter.text)
