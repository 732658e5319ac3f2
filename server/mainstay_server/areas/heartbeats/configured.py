"""What a document may hold of heartbeats: jobs that report, and where they report to."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field, model_validator
from sqlalchemy.orm import Session
from typing_extensions import override

from mainstay_server.kernel.configured import (
    KEPT,
    Configured,
    ConfiguredProject,
    Held,
    Path,
    Shape,
    numbered,
)
from mainstay_server.kernel.problems import Conflict, Problem
from mainstay_server.kernel.watching import State

from .models import DEFAULT_GRACE_SECONDS, DEFAULT_PERIOD_SECONDS, Heartbeat, ScheduleKind
from .schemas.api import MOST_TAGS, Methods, Name, Seconds, Tag, Times, Words
from .service import heartbeats, making
from .service.schedules import Schedule, checked_schedule

MOST_HELD = 10_000
# Whether a schedule ever comes is asked of this day, so that a document means the same on any.
SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)
OWN = {"instance", "ping_id", "push_token", "paused"}


class HeartbeatShape(Shape):
    """A job that reports. Another server's ping URLs go on with its ids, under our host."""

    KEY: ClassVar[tuple[str, ...]] = ("instance", "name")

    instance: str = Field(min_length=1, max_length=64, examples=["production"])
    name: Name
    slug: str = Field("", pattern=r"^[a-z0-9_-]{0,100}$", description="Default: made of the name.")
    ping_id: str = Field(
        KEPT, max_length=36, description="The UUID in its ping URL; kept makes one at first."
    )
    push_token: str = Field(
        KEPT,
        max_length=64,
        pattern=r"^[A-Za-z0-9_-]*$",
        description="The token of Uptime Kuma's push URL; kept is none at first.",
    )
    tags: Annotated[list[Tag], Field(max_length=MOST_TAGS)] = Field(default_factory=list)
    description: str = Field("", max_length=2_000)
    schedule_kind: ScheduleKind = ScheduleKind.PERIOD
    period_seconds: Seconds = DEFAULT_PERIOD_SECONDS
    expression: str = Field("", max_length=200)
    time_zone: str = Field("UTC", max_length=60)
    grace_seconds: Seconds = DEFAULT_GRACE_SECONDS
    early_seconds: int = Field(0, ge=0, le=86_400)
    start_grace_seconds: Seconds | None = None
    min_duration_seconds: Seconds | None = None
    max_duration_seconds: Seconds | None = None
    most_reports: Times | None = None
    most_reports_seconds: Seconds = 3_600
    fail_after: Times = 1
    recover_after: Times = 1
    tell_after_seconds: int = Field(0, ge=0, le=86_400)
    manual_resume: bool = False
    methods: Methods = ""
    filter_subject: bool = False
    filter_body: bool = False
    filter_http_body: bool = False
    filter_default_fail: bool = False
    start_words: Words = ""
    success_words: Words = ""
    failure_words: Words = ""
    paused: bool = False

    @model_validator(mode="after")
    def _is_as_it_is_kept(self) -> Self:
        self.slug = self.slug or making.slug_of(self.name) or "heartbeat"
        if self.ping_id != KEPT:
            self.ping_id = str(UUID(self.ping_id))
        schedule = Schedule(
            kind=self.schedule_kind,
            period_seconds=self.period_seconds,
            expression=self.expression,
            time_zone=self.time_zone,
        )
        try:
            self.expression = checked_schedule(schedule, now=SOME_DAY).expression
        except Problem as problem:
            raise ValueError(problem.detail) from None
        return self

    @override
    def secret_paths(self) -> Sequence[Path]:
        """Who knows where a job reports to can report in its name."""
        return (("pingId",), ("pushToken",))


def export_heartbeats(session: Session, project: ConfiguredProject) -> Sequence[Held]:
    """Every heartbeat of the project; of two with one name the later is told with a number."""
    found = session.scalars(
        sa.select(Heartbeat)
        .where(Heartbeat.project_id == project.id)
        .order_by(Heartbeat.created_at, Heartbeat.id)
        .limit(MOST_HELD)
    ).all()
    names = numbered((one.instance_id, one.name) for one in found)
    return [
        Held(id=one.id, shape=_shape(project, one, name))
        for one, name in zip(found, names, strict=True)
    ]


def write_heartbeat(
    session: Session,
    project: ConfiguredProject,
    wanted: HeartbeatShape,
    heartbeat_id: str | None,
    now: datetime,
) -> str:
    """Make a heartbeat, which expects nothing before its first report, or change it."""
    instance = project.instance(wanted.instance)
    values = wanted.model_dump(exclude=OWN)
    if heartbeat_id is None:
        heartbeat = making.make_heartbeat(session, instance, values, now=now)
    else:
        heartbeat = heartbeats.get_to_change(session, instance.id, heartbeat_id)
        making.change_values(session, heartbeat, values, now=now)
    _address(session, heartbeat, wanted)
    if wanted.paused:
        heartbeats.pause_heartbeat(session, heartbeat, now=now)
    elif heartbeat.state == State.PAUSED:
        heartbeats.resume_heartbeat(session, heartbeat, now=now)
    return heartbeat.id


def remove_heartbeat(
    session: Session, project: ConfiguredProject, held: Held, now: datetime
) -> None:
    """Remove a heartbeat with its reports and its history."""
    instance = project.instance(held.shape.key[0])
    heartbeat = heartbeats.get_to_change(session, instance.id, held.id)
    heartbeats.remove_heartbeat(session, heartbeat, now=now)


def _address(session: Session, heartbeat: Heartbeat, wanted: HeartbeatShape) -> None:
    """Let it be reported to where the document says. Raises `Conflict` where another is."""
    addresses = {
        "ping_id": wanted.ping_id if wanted.ping_id != KEPT else heartbeat.ping_id,
        "push_token": wanted.push_token if wanted.push_token != KEPT else heartbeat.push_token,
    }
    same = [getattr(Heartbeat, name) == value for name, value in addresses.items() if value]
    others = sa.select(Heartbeat.id).where(sa.or_(*same), Heartbeat.id != heartbeat.id)
    if session.scalar(others.limit(1)) is not None:
        raise Conflict.of_field(
            "pingId", "pingId or pushToken belongs to another heartbeat; take a new one"
        )
    heartbeat.ping_id = str(addresses["ping_id"])
    heartbeat.push_token = addresses["push_token"] or None
    session.flush()


def _shape(project: ConfiguredProject, heartbeat: Heartbeat, name: str) -> HeartbeatShape:
    values: dict[str, Any] = {
        field: getattr(heartbeat, field)
        for field in HeartbeatShape.model_fields
        if field not in OWN | {"name"}
    }
    values["schedule_kind"] = ScheduleKind(heartbeat.schedule_kind)
    return HeartbeatShape.model_construct(
        instance=project.environment_of(heartbeat.instance_id),
        name=name,
        ping_id=heartbeat.ping_id,
        push_token=heartbeat.push_token or KEPT,
        paused=heartbeat.state == State.PAUSED,
        **values,
    )


HEARTBEATS = Configured(
    name="heartbeats",
    title="heartbeat",
    order=20,
    shape=HeartbeatShape,
    export=export_heartbeats,
    write=write_heartbeat,
    remove=remove_heartbeat,
)
