"""What a document may hold of runbooks: what to do when an alert fires."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.schemas.runbooks import NewRunbook
from mainstay_server.areas.alerts.service import runbooks
from mainstay_server.kernel.configured import Configured, ConfiguredProject, Held, Shape

from .projects import ref_of


class RunbookShape(Shape, NewRunbook):
    """What to do when an alert fires, in Markdown."""


def export_runbooks(session: Session, project: ConfiguredProject) -> Sequence[Held]:
    """The runbooks that the project wrote."""
    return [
        Held(id=each.id, shape=RunbookShape(name=each.name, body=each.body))
        for each in runbooks.list_runbooks(session, project.id)
    ]


def write_runbook(
    session: Session,
    project: ConfiguredProject,
    wanted: RunbookShape,
    runbook_id: str | None,
    now: datetime,
) -> str:
    """Let a runbook be exactly so."""
    about = ref_of(session, project)
    return runbooks.write_runbook(
        session, about, runbook_id, name=wanted.name, body=wanted.body, now=now
    ).id


def remove_runbook(session: Session, project: ConfiguredProject, held: Held, now: datetime) -> None:
    """Remove a runbook."""
    runbooks.remove_runbook(session, ref_of(session, project), held.id, now=now)


RUNBOOKS = Configured(
    name="runbooks",
    title="runbook",
    order=65,
    shape=RunbookShape,
    export=export_runbooks,
    write=write_runbook,
    remove=remove_runbook,
)
