"""What a document may hold of maintenance: what is planned, and what it covers by name."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Self

from pydantic import Field, model_validator
from sqlalchemy.orm import Session

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.configured import (
    Configured,
    ConfiguredProject,
    Held,
    Shape,
    numbered,
)
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.watching import ids_by_name, ids_named, names_by_id
from mainstay_server.tenancy.subjects import ProjectRef, find_project

from .schemas import Name
from .service import listing, planning
from .service.planning import MOST_PER_PROJECT, Wanted
from .service.schedules import checked_schedule

LONGEST_START = 40


class MaintenanceShape(Shape):
    """Work that is planned: once, or by a schedule on the clocks of a time zone."""

    name: Name
    description: str = Field("", max_length=2000)
    starts_at: str = Field(
        max_length=LONGEST_START,
        examples=["2026-12-06T02:00"],
        description="The first start, as clocks in the time zone show it.",
    )
    time_zone: str = Field("UTC", max_length=60)
    duration_minutes: int = Field(60, ge=1, le=31 * 24 * 60)
    schedule: str = Field("", max_length=300, description="A cron expression or an RRULE.")
    announce_minutes: int = Field(60, ge=0, le=7 * 24 * 60)
    instances: list[str] = Field(default_factory=list, max_length=200, description="Empty: all.")
    tags: list[str] = Field(default_factory=list, max_length=200, description="Empty: all.")
    subjects: list[str] = Field(
        default_factory=list,
        max_length=200,
        description="Health checks and heartbeats as instance/name. Empty: all.",
    )

    @model_validator(mode="after")
    def _is_as_it_is_kept(self) -> Self:
        try:
            start = datetime.fromisoformat(self.starts_at)
            plan = checked_schedule(self.schedule, starts_at=start, time_zone=self.time_zone)
        except ValueError:
            raise ValueError("startsAt is a time such as 2026-12-06T02:00") from None
        except Problem as problem:
            raise ValueError(problem.detail) from None
        self.starts_at = _wall(plan.wall_start)
        self.schedule = plan.rule
        self.name, self.description = self.name.strip(), self.description.strip()
        for name in ("instances", "tags", "subjects"):
            given = [each.strip() for each in getattr(self, name)]
            setattr(self, name, sorted({each for each in given if each}))
        return self


def export_maintenance(session: Session, project: ConfiguredProject) -> Sequence[Held]:
    """All that is planned; what came once and is over is not written into new documents."""
    now = utc_now()
    page = listing.list_maintenance(session, project.id, limit=MOST_PER_PROJECT, now=now)
    names = numbered((None, one.maintenance.name) for one in page.items)
    subjects = names_by_id(session, project)
    return [
        Held(
            id=one.maintenance.id,
            shape=_shape(project, one, name, subjects),
            over=not one.plan.schedule and one.plan.starts_at + one.plan.duration < now,
        )
        for one, name in zip(page.items, names, strict=True)
    ]


def write_maintenance(
    session: Session,
    project: ConfiguredProject,
    wanted: MaintenanceShape,
    maintenance_id: str | None,
    now: datetime,
) -> str:
    """Plan it, or plan something else from now on; what has begun stays as it was."""
    ids = ids_by_name(session, project)
    start = datetime.fromisoformat(wanted.starts_at)
    plan = Wanted(
        name=wanted.name,
        description=wanted.description,
        announce_minutes=wanted.announce_minutes,
        schedule=wanted.schedule,
        starts_at=start,
        time_zone=wanted.time_zone,
        duration_minutes=wanted.duration_minutes,
        instance_ids=[project.instance(each).id for each in wanted.instances],
        tags=wanted.tags,
        subject_ids=[
            id_ for name in wanted.subjects for id_ in ids_named(ids, name, field="subjects")
        ],
    )
    ref = _ref(session, project)
    if maintenance_id is None:
        return planning.plan_maintenance(session, ref, plan, now=now).id
    planning.change_maintenance(session, ref, maintenance_id, plan, now=now)
    return maintenance_id


def remove_maintenance(
    session: Session, project: ConfiguredProject, held: Held, now: datetime
) -> None:
    """Call off all further windows; what has been still counts."""
    planning.remove_maintenance(session, _ref(session, project), held.id, now=now)


def _shape(
    project: ConfiguredProject, planned: listing.Planned, name: str, subjects: Mapping[str, str]
) -> MaintenanceShape:
    plan = planned.plan
    known = {one.id: environment for environment, one in project.instances.items()}
    return MaintenanceShape.model_construct(
        name=name,
        description=planned.maintenance.description,
        starts_at=_wall(datetime.fromisoformat(plan.wall_start)),
        time_zone=plan.time_zone,
        duration_minutes=plan.duration_minutes,
        schedule=plan.schedule,
        announce_minutes=planned.maintenance.announce_minutes,
        instances=sorted(known[each] for each in plan.instance_ids if each in known),
        tags=sorted(plan.tags),
        subjects=sorted({subjects[each] for each in plan.subject_ids if each in subjects}),
    )


def _ref(session: Session, project: ConfiguredProject) -> ProjectRef:
    found = find_project(session, project.slug)
    assert found is not None, "it is locked while a document is applied"
    return found


def _wall(start: datetime) -> str:
    return start.isoformat(timespec="seconds" if start.second else "minutes")


MAINTENANCE = Configured(
    name="maintenance",
    title="maintenance",
    order=30,
    shape=MaintenanceShape,
    export=export_maintenance,
    write=write_maintenance,
    remove=remove_maintenance,
)
