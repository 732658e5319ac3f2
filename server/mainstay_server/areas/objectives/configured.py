"""What a document may hold of objectives: what is promised, and by what it is counted."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator
from sqlalchemy.orm import Session

from mainstay_server.kernel.configured import (
    Configured,
    ConfiguredProject,
    Held,
    Shape,
    numbered,
)
from mainstay_server.kernel.watching import ids_by_name, ids_named, names_by_id
from mainstay_server.tenancy.subjects import ProjectRef, find_project

from .models import Objective
from .schemas import KindName, Name, Periods, SourceName, Target
from .service import setting

COUNTED_BY = ("kind", "source", "subject", "route", "threshold_ms")
CHANGEABLE = ("name", "target_percent", "period")


class ObjectiveShape(Shape):
    """A promise that is counted. Counted by something else it is another one."""

    KEY: ClassVar[tuple[str, ...]] = ("instance", "name")

    instance: str = Field(min_length=1, max_length=64, examples=["production"])
    name: Name
    kind: KindName = "availability"
    source: SourceName
    subject: str = Field(
        "", max_length=165, description="A health check or heartbeat as instance/name."
    )
    route: str = Field("", max_length=500)
    threshold_ms: int = Field(0, ge=0, le=600_000)
    target_percent: Target = 99.9
    period: Periods = "30d"

    @model_validator(mode="after")
    def _is_as_it_is_kept(self) -> Self:
        self.name = self.name.strip()
        watched = self.source == "watched"
        if watched != self.subject.startswith(f"{self.instance}/"):
            raise ValueError(
                "subject is instance/name of this instance where the source is watched"
            )
        return self


def export_objectives(session: Session, project: ConfiguredProject) -> Sequence[Held]:
    """Every objective whose subject, if it has one, is still watched."""
    found = setting.list_objectives(session, project.id, limit=setting.MOST_PER_PROJECT).items
    subjects = names_by_id(session, project)
    names = numbered((one.instance_id, one.name) for one in found)
    return [
        Held(id=one.id, shape=_shape(project, one, name, subjects))
        for one, name in zip(found, names, strict=True)
    ]


def write_objective(
    session: Session,
    project: ConfiguredProject,
    wanted: ObjectiveShape,
    objective_id: str | None,
    now: datetime,
) -> str:
    """Set an objective or change its target; counted by something else it is set anew."""
    ref = _ref(session, project)
    if objective_id is not None:
        there = {one.id: one.shape for one in export_objectives(session, project)}[objective_id]
        if all(getattr(there, name) == getattr(wanted, name) for name in COUNTED_BY):
            changes = wanted.model_dump(include=set(CHANGEABLE))
            setting.change_objective(session, ref, objective_id, changes, now=now)
            return objective_id
        setting.remove_objective(session, ref, objective_id, now=now)
    project.instance(wanted.instance)  # refuses with the field that is wrong
    values = wanted.model_dump(exclude={"instance", "subject"})
    values["environment"] = wanted.instance
    values["subject_id"] = _subject_id(session, project, wanted.subject)
    return setting.set_objective(session, ref, values, now=now).id


def remove_objective(
    session: Session, project: ConfiguredProject, held: Held, now: datetime
) -> None:
    """Remove an objective with what was counted of it."""
    setting.remove_objective(session, _ref(session, project), held.id, now=now)


def _shape(
    project: ConfiguredProject, one: Objective, name: str, subjects: Mapping[str, str]
) -> ObjectiveShape:
    kinds: Mapping[str, KindName] = {"availability": "availability", "latency": "latency"}
    sources: Mapping[str, SourceName] = {"watched": "watched", "requests": "requests"}
    periods: Mapping[str, Literal["7d", "28d", "30d", "month"]] = {
        "7d": "7d",
        "28d": "28d",
        "30d": "30d",
        "month": "month",
    }
    return ObjectiveShape.model_construct(
        instance=project.environment_of(one.instance_id),
        name=name,
        kind=kinds[one.kind],
        source=sources[one.source],
        subject=subjects.get(one.subject_id, ""),
        route=one.route,
        threshold_ms=one.threshold_ms,
        target_percent=one.target_percent,
        period=periods[one.period],
    )


def _subject_id(session: Session, project: ConfiguredProject, name: str) -> str:
    """The id of what has that name, of two the first; empty for an objective of requests."""
    return ids_named(ids_by_name(session, project), name, field="subject")[0] if name else ""


def _ref(session: Session, project: ConfiguredProject) -> ProjectRef:
    found = find_project(session, project.slug)
    assert found is not None, "it is locked while a document is applied"
    return found


OBJECTIVES = Configured(
    name="objectives",
    title="objective",
    order=50,
    shape=ObjectiveShape,
    export=export_objectives,
    write=write_objective,
    remove=remove_objective,
)
