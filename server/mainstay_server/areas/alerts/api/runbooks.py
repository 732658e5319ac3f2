"""Runbooks through HTTP: what a project wrote down for when an alert fires."""

from typing import Annotated

from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.schemas.runbooks import (
    NewRunbook,
    RunbookAnswer,
    RunbookChange,
    RunbookList,
)
from mainstay_server.areas.alerts.service import runbooks
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, page_within
from mainstay_server.kernel.web import Cursor, Limit, Router, example
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef

router = Router()

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]

RUNBOOK = {
    "id": "0193a5c2-7d1e-7c6b-9a3f-2f7d4c1b8e90",
    "name": "Checkout is slow",
    "body": "# {{ project }} is slow\n\n1. Look at the queue.",
    "changedAt": "2026-03-01T12:00:00.000Z",
}


@router.get(
    "/api/projects/{slug}/runbooks",
    summary="List runbooks",
    operation_id="list_runbooks",
    responses=example({"runbooks": [RUNBOOK], "nextCursor": None}),
)
def list_runbooks(
    session: Session, project: Viewed, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> RunbookList:
    """What the project wrote itself; Mainstay ships others for its own types of alerts."""
    found = runbooks.list_runbooks(session, project.id)
    page = page_within(found, limit=limit, cursor=cursor, key=lambda each: (each.name,))
    return RunbookList(
        runbooks=[RunbookAnswer.model_validate(each) for each in page.items],
        next_cursor=page.next_cursor,
    )


@router.post(
    "/api/projects/{slug}/runbooks",
    status_code=201,
    summary="Write a runbook",
    operation_id="create_runbook",
    responses=example(RUNBOOK, 201),
)
def create_runbook(session: Session, project: Written, body: NewRunbook) -> RunbookAnswer:
    """Write down what to do; rules name it, and their alerts show it with their values."""
    made = runbooks.write_runbook(
        session, project, None, name=body.name, body=body.body, now=utc_now()
    )
    return RunbookAnswer.model_validate(made)


@router.patch(
    "/api/projects/{slug}/runbooks/{runbook_id}",
    summary="Change a runbook",
    operation_id="change_runbook",
    responses=example(RUNBOOK),
)
def change_runbook(
    session: Session, project: Written, runbook_id: str, body: RunbookChange
) -> RunbookAnswer:
    """Change a runbook; what is left out stays."""
    found = runbooks.get_runbook(session, project.id, runbook_id)
    changed = runbooks.write_runbook(
        session,
        project,
        found.id,
        name=found.name if body.name is None else body.name,
        body=found.body if body.body is None else body.body,
        now=utc_now(),
    )
    return RunbookAnswer.model_validate(changed)


@router.delete(
    "/api/projects/{slug}/runbooks/{runbook_id}",
    status_code=204,
    summary="Remove a runbook",
    operation_id="remove_runbook",
)
def remove_runbook(session: Session, project: Written, runbook_id: str) -> None:
    """Remove a runbook; rules that name it show the shipped one, if there is one."""
    runbooks.remove_runbook(session, project, runbook_id, now=utc_now())
