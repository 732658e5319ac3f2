"""What the pages about heartbeats of one instance share: the frame, and whose it is."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.kernel.problems import NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.frame import project_frame
from mainstay_server.tenancy.subjects import ProjectRef, instances_of_project

PAGE = "heartbeats"


def instance_frame(
    request: Request, session: Session, project: ProjectRef, instance_id: str, *, now: datetime
) -> dict[str, Any]:
    """The context of a page about one instance of the project. Raises `NotFound`."""
    frame = project_frame(request, session, project, page=PAGE, now=now)
    return {**frame, "instance": _one_of(frame["instances"], instance_id)}


def own_instance(session: Session, project: ProjectRef, instance_id: str) -> InstanceRef:
    """The instance of that id, if it is one of the project. Raises `NotFound`."""
    return _one_of(instances_of_project(session, project.id), instance_id)


def _one_of(instances: Sequence[InstanceRef], instance_id: str) -> InstanceRef:
    found = next((one for one in instances if one.id == instance_id), None)
    if found is None:
        raise NotFound("There is no such instance; go back to the list.")
    return found
