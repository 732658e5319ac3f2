"""What a document may hold of routing: which alerts go to which channels, and what mutes what."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Self

import sqlalchemy as sa
from pydantic import ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import AlertChannel
from mainstay_server.areas.alerts.service.routing import checking, ground, inhibitions, routes
from mainstay_server.areas.alerts.service.routing.pacing import DEFAULT_GROUP_BY
from mainstay_server.kernel.configured import Configured, ConfiguredProject, Held, Shape
from mainstay_server.kernel.matchers import LONGEST_TEXT
from mainstay_server.kernel.problems import Invalid

MOST_CHANNELS = 2_000
Label = Annotated[str, StringConstraints(max_length=200)]
ChannelName = Annotated[str, StringConstraints(min_length=1, max_length=165)]


class RouteShape(Shape):
    """Alerts whose labels fit go to the channels, which are named as `name` or `instance/name`.

    Without channels they go to nobody, and no route behind it is read.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"name": "Outages", "matchers": "severity=critical", "channels": ["pager"]}
            ]
        },
    )

    name: str = Field(min_length=1, max_length=100)
    position: int = Field(1, ge=1, le=1_000, description="The lowest is read first.")
    matchers: str = Field("", max_length=LONGEST_TEXT, description="Empty: all alerts.")
    channels: list[ChannelName] = Field(
        max_length=40, description="None: what fits is told to no channel that a route names."
    )
    goes_on: bool = Field(default=False, alias="continue")
    group_by: list[Label] = Field(default_factory=lambda: list(DEFAULT_GROUP_BY), max_length=20)
    wait_seconds: int = Field(0, ge=0, le=3_600)
    interval_seconds: int = Field(60, ge=0, le=86_400)
    repeat_seconds: int = Field(0, ge=0, le=30 * 86_400)
    mute_times: str = Field("", max_length=500, examples=["Mon-Fri 18:00-08:00, Sat-Sun"])
    time_zone: str = Field("UTC", max_length=64)
    enabled: bool = True

    @model_validator(mode="after")
    def _is_as_it_is_kept(self) -> Self:
        self.name = " ".join(self.name.split())
        try:
            self.matchers = checking.kept_matchers("matchers", self.matchers, empty=True)
            quiet = {"mute_times": self.mute_times, "time_zone": self.time_zone}
            self.mute_times = checking.checked_quiet(quiet)["mute_times"]
        except Invalid as problem:
            raise ValueError(problem.detail) from None
        self.channels = sorted(set(self.channels))
        return self


class InhibitionShape(Shape):
    """While an alert that fits `source` is active, those that fit `target` are not told."""

    name: str = Field(min_length=1, max_length=100)
    source: str = Field(min_length=1, max_length=LONGEST_TEXT, examples=["severity=critical"])
    target: str = Field(min_length=1, max_length=LONGEST_TEXT, examples=["severity=warning"])
    equal: list[Label] = Field(default_factory=list, max_length=20)
    enabled: bool = True

    @model_validator(mode="after")
    def _is_as_it_is_kept(self) -> Self:
        self.name = " ".join(self.name.split())
        try:
            self.source = checking.kept_matchers("source", self.source, empty=False)
            self.target = checking.kept_matchers("target", self.target, empty=False)
        except Invalid as problem:
            raise ValueError(problem.detail) from None
        return self


def export_routes(session: Session, project: ConfiguredProject) -> Sequence[Held]:
    """Every route, in order; a mute until a time is nothing that a document says."""
    names = {id_: name for name, id_ in _channels(session, project).items()}
    return [
        Held(
            id=row.id,
            shape=RouteShape.model_construct(
                name=row.name,
                position=row.position,
                matchers=row.matchers,
                channels=sorted(names[one] for one in row.channel_ids if one in names),
                goes_on=row.goes_on,
                group_by=row.group_by,
                wait_seconds=row.wait_seconds,
                interval_seconds=row.interval_seconds,
                repeat_seconds=row.repeat_seconds,
                mute_times=row.mute_times,
                time_zone=row.time_zone,
                enabled=row.enabled,
            ),
        )
        for row in ground.routes_of(session, project.id)
    ]


def write_route(
    session: Session,
    project: ConfiguredProject,
    wanted: RouteShape,
    route_id: str | None,
    now: datetime,
) -> str:
    """Add a route, or let it be exactly so, at exactly that place."""
    known = _channels(session, project)
    if missing := [name for name in wanted.channels if name not in known]:
        raise Invalid.of_field(
            "channels",
            f"there is no channel {missing[0]!r}; those of one instance are instance/name",
        )
    values = wanted.model_dump(exclude={"channels"})
    values["channel_ids"] = [known[name] for name in wanted.channels]
    if route_id is None:
        about = (project.organization_id, project.id)
        return routes.create_route(session, about, values, in_order=False, now=now).id
    route = routes.get_route(session, project.id, route_id)
    return routes.change_route(session, route, values, in_order=False, now=now).id


def remove_route(session: Session, project: ConfiguredProject, held: Held, now: datetime) -> None:
    """Remove a route."""
    routes.remove_route(session, routes.get_route(session, project.id, held.id), now=now)


def export_inhibitions(session: Session, project: ConfiguredProject) -> Sequence[Held]:
    """Every rule of the project's own."""
    return [
        Held(
            id=row.id,
            shape=InhibitionShape.model_construct(
                name=row.name,
                source=row.source,
                target=row.target,
                equal=row.equal,
                enabled=row.enabled,
            ),
        )
        for row in inhibitions.inhibitions_of(session, project.id)
    ]


def write_inhibition(
    session: Session,
    project: ConfiguredProject,
    wanted: InhibitionShape,
    rule_id: str | None,
    now: datetime,
) -> str:
    """Add a rule of inhibition, or let it be exactly so."""
    if rule_id is None:
        about = (project.organization_id, project.id)
        return inhibitions.create_inhibition(session, about, wanted.model_dump(), now=now).id
    rule = inhibitions.get_inhibition(session, project.id, rule_id)
    return inhibitions.change_inhibition(session, rule, wanted.model_dump(), now=now).id


def remove_inhibition(
    session: Session, project: ConfiguredProject, held: Held, now: datetime
) -> None:
    """Remove a rule of inhibition."""
    rule = inhibitions.get_inhibition(session, project.id, held.id)
    inhibitions.remove_inhibition(session, rule, now=now)


def _channels(session: Session, project: ConfiguredProject) -> Mapping[str, str]:
    """The ids of the project's channels by how a document names them."""
    rows = session.execute(
        sa.select(AlertChannel.id, AlertChannel.name, AlertChannel.instance_id)
        .where(AlertChannel.project_id == project.id)
        .order_by(AlertChannel.id)
        .limit(MOST_CHANNELS)
    )
    found = {}
    for row in rows:
        environment = project.environment_of(row.instance_id)
        found[f"{environment}/{row.name}" if environment else row.name] = row.id
    return found


ROUTES = Configured(
    name="alertRoutes",
    title="alert route",
    order=65,
    shape=RouteShape,
    export=export_routes,
    write=write_route,
    remove=remove_route,
)
INHIBITIONS = Configured(
    name="alertInhibitions",
    title="rule of inhibition",
    order=66,
    shape=InhibitionShape,
    export=export_inhibitions,
    write=write_inhibition,
    remove=remove_inhibition,
)
