"""What the pages of on call share: who may, what stands around them, how forms are read."""

from typing import Annotated, Any

from fastapi import Depends
from sqlalchemy.orm import Session
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.frame import organization_frame
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.service.sessions import list_organizations
from mainstay_server.ui import render

PATH = "/dashboard/organization/on-call"
SCHEDULES = f"{PATH}/schedules"
POLICIES = f"{PATH}/policies"
ESCALATIONS = f"{PATH}/escalations"
LONGEST_NUMBER = 6

Seen = Annotated[Caller, access.organization(Role.VIEWER, about="project")]
Written = Annotated[Caller, access.organization(Role.MEMBER, about="project")]


async def _form_of(request: Request) -> FormData:
    return await request.form()


Form = Annotated[FormData, Depends(_form_of)]


def page_of(
    request: Request,
    session: Session,
    caller: Caller,
    part: str,
    **context: Any,  # noqa: ANN401 - a template's names
) -> Response:
    """One of the pages."""
    return render(
        request,
        f"on_call/{part}.html",
        **organization_frame(request, page="organization/on-call", now=utc_now()),
        organizations=list_organizations(session, caller),
        path=PATH,
        **context,
    )


def text_of(form: FormData, name: str) -> str:
    """A field as text, "" when it was not sent."""
    value = form.get(name, "")
    return value.strip() if isinstance(value, str) else ""


def texts_of(form: FormData, name: str) -> list[str]:
    """All values of a field."""
    return [value for value in form.getlist(name) if isinstance(value, str)]


def number_of(form: FormData, name: str, *, otherwise: int) -> int:
    """A field as a whole number. Raises `Invalid`."""
    text = text_of(form, name) or str(otherwise)
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER):
        raise Invalid(f"{name.replace('_', ' ').capitalize()} must be a whole number.")
    return int(text)
