"""What a document may hold of incidents: when a project's alerts open them, and how they join."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import ClassVar

from pydantic import Field
from sqlalchemy.orm import Session

from mainstay_server.kernel.configured import Configured, ConfiguredProject, Held, Shape
from mainstay_server.tenancy.subjects import ProjectRef, find_project

from .schemas import JoinMinutes, OpensFrom, Template
from .service import choices


class ChoicesShape(Shape):
    """What a project chose; there is one of it, and without it the defaults hold."""

    KEY: ClassVar[tuple[str, ...]] = ()

    opens_from: OpensFrom = Field(
        "critical", description="The least severity of an alert that opens an incident, or never."
    )
    join_minutes: JoinMinutes = 30
    resolves_alone: bool = True
    template: Template = Field(
        "", description="Of postmortems, in Markdown; empty for the one that comes along."
    )


def export_choices(session: Session, project: ConfiguredProject) -> Sequence[Held]:
    """What somebody chose; where nobody did there is nothing."""
    if not choices.are_chosen(session, project.id):
        return []
    chosen = choices.choices_of(session, project.id)
    return [Held(id=project.id, shape=ChoicesShape.model_construct(**asdict(chosen)))]


def write_choices(
    session: Session,
    project: ConfiguredProject,
    wanted: ChoicesShape,
    choices_id: str | None,
    now: datetime,
) -> str:
    """Choose exactly so from now on."""
    _ = choices_id  # a project has its own
    choices.change_choices(session, _ref(session, project), wanted.model_dump(), now=now)
    return project.id


def remove_choices(session: Session, project: ConfiguredProject, held: Held, now: datetime) -> None:
    """Let the defaults hold again."""
    _ = held
    choices.forget_choices(session, _ref(session, project), now=now)


def _ref(session: Session, project: ConfiguredProject) -> ProjectRef:
    found = find_project(session, project.id)
    assert found is not None, "the document is about it"
    return found


INCIDENT_SETTINGS = Configured(
    name="incidentSettings",
    title="choice of when alerts open incidents",
    order=90,
    shape=ChoicesShape,
    export=export_choices,
    write=write_choices,
    remove=remove_choices,
)
