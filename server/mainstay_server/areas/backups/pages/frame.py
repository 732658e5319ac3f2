"""What the pages of backups share: who may, what stands around them, and a target in words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import Form
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.backups.models import Backup, BackupTarget
from mainstay_server.areas.backups.providers import ENGINES
from mainstay_server.areas.backups.service import figures, words
from mainstay_server.areas.backups.service.figures import Figures
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid, NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy import access
from mainstay_server.tenancy.frame import may_administer, project_frame
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef, instances_of_project
from mainstay_server.ui import render

PREFIX = "/dashboard/projects/{slug}/backups"
DRILL_WORDS = {
    "after_each": "after each backup",
    "weekly": "once a week",
    "off": "never by themselves",
}

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Administered = Annotated[ProjectRef, access.project(Role.ADMIN)]
Text = Annotated[str, Form(max_length=5000)]


@dataclass(frozen=True)
class TargetView:
    """A target as the pages show it."""

    target: BackupTarget
    figures: Figures

    @property
    def label(self) -> str:
        """The engine's name."""
        return ENGINES[self.target.engine].LABEL

    @property
    def schedule(self) -> str:
        """When it runs."""
        return words.schedule_in_words(self.target)

    @property
    def retention(self) -> str:
        """How long its backups stay."""
        return words.retention_in_words(self.target)

    @property
    def troubles(self) -> list[str]:
        """What is wrong with it."""
        return words.troubles_of(self.target)


def views_of(session: Session, rows: Iterable[BackupTarget]) -> list[TargetView]:
    """Targets with their figures."""
    targets = list(rows)
    found = figures.figures_of(session, [each.id for each in targets])
    return [TargetView(each, found[each.id]) for each in targets]


def frame_of(request: Request, session: Session, project: ProjectRef) -> dict[str, Any]:
    """What stands around every page of backups."""
    return project_frame(request, session, project, page="backups", now=utc_now())


def page_of(
    request: Request,
    frame: Mapping[str, Any],
    part: str,
    **context: Any,  # noqa: ANN401 - a template's names
) -> Response:
    """One of the pages, with the words that its templates use."""
    return render(request, f"backups/{part}.html", **names_of(request, frame, part), **context)


def names_of(request: Request, frame: Mapping[str, Any], part: str) -> dict[str, Any]:
    """The names that every template of backups uses."""
    instance: InstanceRef = frame["instance"]
    here = instance.page("backups")
    return {
        **frame,
        "part": part,
        "base": here.partition("?")[0],
        "again": "?" + here.partition("?")[2],
        "may_administer": may_administer(request),
        "DRILL_WORDS": DRILL_WORDS,
    }


def target_of(
    session: Session, project: ProjectRef, target_id: str
) -> tuple[InstanceRef, BackupTarget]:
    """A target of a project, and its instance. Raises `NotFound`."""
    target = session.get(BackupTarget, target_id)
    if target is None or target.project_id != project.id:
        raise NotFound("This project has no such target; go back to the list.")
    return instance_of(session, project, target.instance_id), target


def backup_of(session: Session, project: ProjectRef, backup_id: str) -> tuple[InstanceRef, Backup]:
    """A backup of a project, and its instance. Raises `NotFound`."""
    backup = session.get(Backup, backup_id)
    if backup is None or backup.project_id != project.id:
        raise NotFound("This project has no such backup; go back to the list.")
    return instance_of(session, project, backup.instance_id), backup


def instance_of(session: Session, project: ProjectRef, instance_id: str) -> InstanceRef:
    """An instance of the project. Raises `NotFound`."""
    for instance in instances_of_project(session, project.id):
        if instance.id == instance_id:
            return instance
    raise NotFound("That instance is not one of this project; reload the page.")


def refuse_unless_meant(typed: str, name: str) -> None:
    """Raise `Invalid` unless somebody typed the name of what they are about to lose."""
    if typed.strip() != name:
        raise Invalid(f"Nothing was done: type {name} as it is written here to confirm.")


def chart_of(view: TargetView) -> dict[str, Any]:
    """The sizes of the stored backups, as the chart wants it."""
    stored = [run for run in view.figures.runs if run.is_stored]
    return {
        "times": [int(_began(run).timestamp()) for run in stored],
        "series": [
            {"label": "Sealed", "values": [run.sealed_bytes for run in stored]},
            {"label": "Dump", "values": [run.plain_bytes for run in stored]},
        ],
    }


def _began(run: figures.Run) -> datetime:
    return run.started_at or run.queued_at
