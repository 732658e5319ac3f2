"""What the pages of mail share: who may, what stands around them, and how mails are shown."""

from typing import Annotated, Any

from fastapi import Form
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.email.models import EmailState
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.mailing import why_no_mail
from mainstay_server.kernel.web.headers import CONTENT_SECURITY_POLICY
from mainstay_server.tenancy import access
from mainstay_server.tenancy.frame import may_administer, project_frame
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import render

PREFIX = "/dashboard/projects/{slug}/email"
PER_PAGE = 50
Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]
Administered = Annotated[ProjectRef, access.project(Role.ADMIN)]
Text = Annotated[str, Form(max_length=2_000)]
Source = Annotated[str, Form(max_length=40_000)]

LIGHTS = {
    EmailState.QUEUED: "pending",
    EmailState.SENT: "ok",
    EmailState.BOUNCED: "failed",
    EmailState.COMPLAINED: "failed",
    EmailState.FAILED: "failed",
    EmailState.SUPPRESSED: "paused",
}
# A page on which mails are looked at may hold frames of our own, and nothing else may.
WITH_FRAMES = {"content-security-policy": f"{CONTENT_SECURITY_POLICY}; frame-src 'self'"}
# A mail in such a frame is styled as it says, and reaches nobody: no script, no image from afar.
IN_A_FRAME = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:;"
    " frame-ancestors 'self'; base-uri 'none'; form-action 'none'; sandbox",
    "x-frame-options": "SAMEORIGIN",
}


def page_of(
    request: Request,
    session: Session,
    project: ProjectRef,
    part: str,
    *,
    status_code: int = 200,
    **context: Any,  # noqa: ANN401 - a template's names
) -> Response:
    """One of the pages of mail."""
    answer = render(
        request,
        f"email/{part}.html",
        status_code=status_code,
        **project_frame(request, session, project, page="email", now=utc_now()),
        part=part,
        base=url_of(project),
        may_administer=may_administer(request),
        no_mail=why_no_mail(),
        LIGHTS=LIGHTS,
        **context,
    )
    answer.headers.update(WITH_FRAMES)
    return answer


def url_of(project: ProjectRef, below: str = "") -> str:
    """A page of mail of a project."""
    return f"/dashboard/projects/{project.slug}/email{below}"
