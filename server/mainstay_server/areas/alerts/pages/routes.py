"""Who hears of what: the routes, what mutes what, what waits, and trying labels out."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import Form
from fastapi.responses import HTMLResponse, Response
from pydantic import Field
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.alerts.service import by_hand, channels, firing
from mainstay_server.areas.alerts.service.routing import (
    explaining,
    ground,
    inhibiting,
    inhibitions,
    routes,
)
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.matchers import Operator, parse_matchers
from mainstay_server.kernel.problems import Invalid, Problem
from mainstay_server.kernel.web import Body, Router
from mainstay_server.tenancy.frame import done_or_refused, redirect_with
from mainstay_server.tenancy.subjects import ProjectRef, instances_of_project
from mainstay_server.ui import fragment

from .frame import PREFIX, Text, Viewed, Written, frame_of, page_of, url_of

router = Router(prefix=PREFIX, include_in_schema=False)

PER_PAGE = 50
SPANS = (("60", "1 hour"), ("240", "4 hours"), ("1440", "1 day"), ("10080", "1 week"))
LONGEST_SPAN_MINUTES = 366 * 1440


class RouteForm(Body):
    """The form of a route; seconds are told in words there, and lists with commas between."""

    csrf_token: str = Field("", alias="csrf_token")
    instance: str = Field("", max_length=64)
    name: str = Field("", max_length=100)
    matchers: str = Field("", max_length=20_000)
    channel_ids: list[str] = Field(default_factory=list, max_length=40)
    nobody: str = Field("", max_length=3)
    goes_on: str = Field("", max_length=3)
    position: int = Field(1, ge=1, le=1_000)
    group_by: str = Field("", max_length=2_000)
    wait_seconds: int = Field(0, ge=0, le=3_600)
    interval_seconds: int = Field(60, ge=0, le=86_400)
    repeat_seconds: int = Field(0, ge=0, le=30 * 86_400)
    enabled: str = Field("", max_length=3)
    mute_times: str = Field("", max_length=500)
    time_zone: str = Field("UTC", max_length=64)

    def wanted(self) -> dict[str, Any]:
        """What the form says of the route. Raises `Invalid` when it was left open who hears."""
        if bool(self.channel_ids) == (self.nobody == "on"):
            raise Invalid.of_field(
                "channelIds", "Choose the channels that are told, or Nobody, and not both."
            )
        said = self.model_dump(exclude={"csrf_token", "instance", "nobody"})
        return said | {
            "group_by": self.group_by.split(","),
            "goes_on": self.goes_on == "on",
            "enabled": self.enabled == "on",
        }


class InhibitionForm(Body):
    """The form of a rule of what mutes what."""

    csrf_token: str = Field("", alias="csrf_token")
    instance: str = Field("", max_length=64)
    name: str = Field("", max_length=100)
    source: str = Field("", max_length=20_000)
    target: str = Field("", max_length=20_000)
    equal: str = Field("", max_length=5_000)


@router.get("/routes")
def show_routes(request: Request, session: Session, project: Viewed) -> Response:
    """Who hears of which alerts, and what waits."""
    frame = frame_of(request, session, project)
    found = ground.routes_of(session, project.id)
    page = explaining.list_waiting(
        session, project.id, limit=PER_PAGE, cursor=request.query_params.get("cursor", "")
    )
    edited = request.query_params.get("edit", "")
    return page_of(
        request,
        session,
        frame,
        "routes",
        routes=found,
        edited=next((route for route in found if route.id == edited), None),
        adding=edited == "new",
        channels=_all_channels(session, project),
        inhibitions=inhibitions.inhibitions_of(session, project.id),
        defaults=inhibiting.DEFAULTS,
        groups=page.items,
        next_cursor=page.next_cursor,
        spans=SPANS,
        group_by=", ".join(routes.DEFAULTS["group_by"]),
    )


@router.get("/routes/try")
def show_trial(request: Request, session: Session, project: Viewed) -> HTMLResponse:
    """Which channels would hear of the labels that somebody typed, and why the others do not."""
    typed = request.query_params.get("labels", "")[:20_000]
    found, problem = None, ""
    try:
        found = explaining.explain(session, project.id, _labels(typed), now=utc_now())
    except Problem as refused:
        problem = refused.detail
    return HTMLResponse(fragment(request, "alerts/route_trial.html", found=found, problem=problem))


@router.post("/routes")
def add_route(session: Session, project: Written, form: Annotated[RouteForm, Form()]) -> Response:
    """Add a route."""
    about = (project.organization_id, project.id)
    return done_or_refused(
        session,
        lambda: routes.create_route(session, about, form.wanted(), now=utc_now()),
        path=url_of(project, "alerts/routes", form.instance),
        done="Added. Try it with labels of your own.",
    )


@router.post("/routes/{route_id}/change")
def change_route(
    session: Session, project: Written, route_id: str, form: Annotated[RouteForm, Form()]
) -> Response:
    """Change a route."""
    route = routes.get_route(session, project.id, route_id)
    return done_or_refused(
        session,
        lambda: routes.change_route(session, route, form.wanted(), now=utc_now()),
        path=url_of(project, "alerts/routes", form.instance),
        done="Changed.",
    )


@router.post("/routes/{route_id}/mute")
def mute_route(
    session: Session, project: Written, route_id: str, minutes: Text = "0", instance: Text = ""
) -> Response:
    """Tell nobody by a route for a while; no minutes end that."""
    route = routes.get_route(session, project.id, route_id)
    now = utc_now()
    span = _span(minutes)
    until = {"muted_until": now + span if span else None}
    routes.change_route(session, route, until, now=now)
    done = "Muted." if span else "It tells again within seconds."
    return redirect_with(url_of(project, "alerts/routes", instance), done)


@router.post("/routes/{route_id}/remove")
def remove_route(
    session: Session, project: Written, route_id: str, instance: Text = ""
) -> Response:
    """Remove a route."""
    route = routes.get_route(session, project.id, route_id)
    routes.remove_route(session, route, now=utc_now())
    return redirect_with(url_of(project, "alerts/routes", instance), "Removed.")


@router.post("/inhibitions")
def add_inhibition(
    session: Session, project: Written, form: Annotated[InhibitionForm, Form()]
) -> Response:
    """Say which alerts mute which."""
    wanted = form.model_dump(exclude={"csrf_token", "instance"})
    wanted["equal"] = form.equal.split(",")
    about = (project.organization_id, project.id)
    return done_or_refused(
        session,
        lambda: inhibitions.create_inhibition(session, about, wanted, now=utc_now()),
        path=url_of(project, "alerts/routes", form.instance),
        done="Added.",
    )


@router.post("/inhibitions/{inhibition_id}/remove")
def remove_inhibition(
    session: Session, project: Written, inhibition_id: str, instance: Text = ""
) -> Response:
    """Remove a rule of inhibition."""
    rule = inhibitions.get_inhibition(session, project.id, inhibition_id)
    inhibitions.remove_inhibition(session, rule, now=utc_now())
    return redirect_with(url_of(project, "alerts/routes", instance), "Removed.")


@router.post("/{alert_id}/mute")
def mute_alert(session: Session, project: Written, alert_id: str, minutes: Text = "0") -> Response:
    """Tell nobody of an alert for a while; no minutes end that."""
    now = utc_now()
    span = _span(minutes)
    for instance in instances_of_project(session, project.id):
        if firing.is_of(session, instance.id, alert_id):
            alert = firing.get_alert(session, instance.id, alert_id)
            by_hand.mute_alert(session, alert, now + span if span else None, now=now)
            done = "Muted." if span else "It is told again."
            return redirect_with(url_of(project, "alerts", instance), done)
    return redirect_with(url_of(project, "alerts"), "There is no such alert.", "critical")


def _all_channels(session: Session, project: ProjectRef) -> list[Any]:
    """Every channel of the project, with the environment of those of one instance."""
    environments = {each.id: each.environment for each in instances_of_project(session, project.id)}
    return [
        (channel, environments.get(channel.instance_id or "", ""))
        for channel in channels.channels_of_project(session, project.id)
    ]


def _labels(typed: str) -> dict[str, str]:
    """Labels as somebody types them: like matchers, each with one value."""
    found = parse_matchers(typed)
    if any(matcher.operator is not Operator.EQUAL for matcher in found):
        raise Invalid('Labels have one value each: alertname="instance_down", severity="critical".')
    return {matcher.name: matcher.value for matcher in found}


def _span(minutes: str) -> timedelta | None:
    number = int(minutes) if minutes.isascii() and minutes.isdigit() else 0
    return timedelta(minutes=min(number, LONGEST_SPAN_MINUTES)) if number else None
