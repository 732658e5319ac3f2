"""What the pages of incidents share: who may, what stands around them, and their words."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Form
from markupsafe import Markup
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.incidents.models import (
    EntryKind,
    IncidentEntry,
    IncidentRole,
    IncidentStatus,
    Severity,
)
from mainstay_server.areas.incidents.service.states import TONES
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.markdown import to_html
from mainstay_server.tenancy import access
from mainstay_server.tenancy.frame import project_frame
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import render

PREFIX = "/dashboard/projects/{slug}/incidents"
ONE = PREFIX + "/{incident_id:id}"

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]
Administered = Annotated[ProjectRef, access.project(Role.ADMIN)]
Short = Annotated[str, Form(max_length=300)]
Text = Annotated[str, Form(max_length=12_000)]
Long = Annotated[str, Form(max_length=120_000)]
IdText = Annotated[str, Form(max_length=36)]
Ids = Annotated[list[str], Form(max_length=200)]

IN_CHARGE = tuple(role for role in IncidentRole if role is not IncidentRole.RESPONDER)


def home(project: ProjectRef) -> str:
    """The path of the list."""
    return f"/dashboard/projects/{project.slug}/incidents"


def page_of(
    request: Request,
    session: Session,
    project: ProjectRef,
    part: str,
    **context: Any,  # noqa: ANN401 - a template's names
) -> Response:
    """One of the pages, with the words that its templates use."""
    frame = project_frame(request, session, project, page="incidents", now=utc_now())
    return render(
        request,
        f"incidents/{part}.html",
        **frame,
        **words(),
        base=home(project),
        part=part,
        environments={each.id: each.environment for each in frame["instances"]},
        **context,
    )


def words() -> dict[str, Any]:
    """What templates call things."""
    return {
        "TONES": TONES,
        "SEVERITIES": [(each.value, each.capitalize()) for each in Severity],
        "STATUSES": [(each.value, each.capitalize()) for each in IncidentStatus],
    }


def shown(entries: Sequence[IncidentEntry]) -> list[dict[str, Any]]:
    """Lines of a timeline for a template: what people wrote as HTML, the rest as it is."""
    return [
        {
            "id": entry.id,
            "title": entry.title if entry.kind != EntryKind.NOTE else "",
            "actor": entry.actor,
            "at": entry.at,
            "tone": entry.tone,
            "is_note": entry.kind == EntryKind.NOTE,
            "html": Markup(to_html(entry.body)),  # noqa: S704 - sanitised where it is made
        }
        for entry in entries
    ]
