"""What the pages about one status page share: its frame, its tabs, and reading of its forms."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.status_pages.models import StatusPage
from mainstay_server.areas.status_pages.service import pages, reading, subscribers
from mainstay_server.kernel.problems import Invalid
from mainstay_server.tenancy import access
from mainstay_server.tenancy.frame import done_or_refused, may_administer, organization_frame
from mainstay_server.tenancy.models import Role
from mainstay_server.ui import render

PATH = "/dashboard/status-pages"
ONE = PATH + "/{page_id:id}"

Viewed = Annotated[str, access.via(pages.owner_of_page, "page_id", Role.VIEWER)]
Written = Annotated[str, access.via(pages.owner_of_page, "page_id", Role.MEMBER)]
Administered = Annotated[str, access.via(pages.owner_of_page, "page_id", Role.ADMIN)]
Made = TypeVar("Made", bound=BaseModel)


def show(
    request: Request,
    session: Session,
    page: StatusPage,
    tab: str,
    *,
    now: datetime,
    **context: Any,  # noqa: ANN401 - whatever the template shows
) -> Response:
    """Render one of the tabs of a status page."""
    return render(
        request,
        f"status_pages/{tab}.html",
        **organization_frame(request, page="status-pages", now=now),
        may_administer=may_administer(request),
        status_page=page,
        path=f"{PATH}/{page.id}",
        public_url=reading.page_url(page),
        current_tab=tab,
        subscriber_count=subscribers.count_subscribers(session, page.id),
        **context,
    )


def act(
    session: Session,
    page_id: str,
    do: Callable[[StatusPage], object],
    *,
    done: str,
    tab: str = "",
    anchor: str = "",
) -> Response:
    """Do something with a page, and go back to a tab of it that says what was done or why not."""
    page = pages.get_page(session, page_id)
    path = f"{PATH}/{page_id}{f'/{tab}' if tab else ''}{f'#{anchor}' if anchor else ''}"
    return done_or_refused(session, lambda: do(page), path=path, done=done)


def made(kind: type[Made], **values: Any) -> Made:  # noqa: ANN401 - what a form holds
    """What a form means. Raises `Invalid` with the first fault in words."""
    try:
        return kind(**values)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = str(fault["loc"][0]).replace("_", " ") if fault["loc"] else "This"
        message = str(fault["msg"]).removeprefix("Value error, ")
        raise Invalid(f"{where.capitalize()}: {message}.") from error
