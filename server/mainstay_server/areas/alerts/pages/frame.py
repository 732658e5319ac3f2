"""What the pages of alerts share: who may, what stands around them, and where they are."""

from typing import Annotated, Any, TypeVar
from urllib.parse import quote

from fastapi import Form
from fastapi.responses import Response
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.alerts.models import AlertType, NotificationState, Severity
from mainstay_server.areas.alerts.providers import KINDS, masked
from mainstay_server.areas.alerts.service import history
from mainstay_server.contracts.alerts.severities import TONES
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy import access
from mainstay_server.tenancy.frame import project_frame
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef, find_instance
from mainstay_server.ui import render

PREFIX = "/dashboard/projects/{slug}/alerts"

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]
Text = Annotated[str, Form(max_length=2500)]
Choice = TypeVar("Choice", AlertType, Severity, NotificationState)

SEVERITIES = [(each.value, each.value) for each in Severity]
FROM_SEVERITY = [
    (Severity.INFO.value, "info: everything"),
    *((each.value, f"{each} and above") for each in Severity if each.rank in range(1, 4)),
    (Severity.CRITICAL.value, "critical only"),
]
WORDS = {kind: kind.replace("_", " ").capitalize().replace("Api ", "API ") for kind in AlertType}


def frame_of(request: Request, session: Session, project: ProjectRef) -> dict[str, Any]:
    """What stands around every page of alerts."""
    return project_frame(request, session, project, page="alerts", now=utc_now())


def page_of(
    request: Request,
    session: Session,
    frame: dict[str, Any],
    part: str,
    **context: Any,  # noqa: ANN401 - a template's names
) -> Response:
    """One of the pages, with the words that its templates use."""
    project: ProjectRef = frame["project"]
    return render(
        request,
        f"alerts/{part}.html",
        **frame,
        **words(),
        part=part,
        base=f"/dashboard/projects/{project.slug}",
        failed_count=history.count_failed(session, project.id),
        **context,
    )


def words() -> dict[str, Any]:
    """What templates call things."""
    return {
        "KINDS": KINDS,
        "TONES": TONES,
        "WORDS": WORDS,
        "SEVERITIES": SEVERITIES,
        "FROM_SEVERITY": FROM_SEVERITY,
        "masked": masked,
    }


def chosen_of(request: Request, name: str, kind: type[Choice]) -> Choice | None:
    """The value that a query chooses, or None when it names none."""
    given = request.query_params.get(name, "")
    return next((value for value in kind if value == given), None)


def instance_of(session: Session, project: ProjectRef, instance_id: str) -> InstanceRef:
    """The instance that a form is about. Raises `Invalid` unless it is one of the project."""
    instance = find_instance(session, instance_id)
    if instance is None or instance.project_id != project.id:
        raise Invalid("That instance is not one of this project; reload the page.")
    return instance


def url_of(project: ProjectRef, page: str, instance: InstanceRef | str = "") -> str:
    """A page of the project, on which the instance stays chosen."""
    environment = instance if isinstance(instance, str) else instance.environment
    query = f"?instance={quote(environment)}" if environment else ""
    return f"/dashboard/projects/{project.slug}/{page}{query}"
