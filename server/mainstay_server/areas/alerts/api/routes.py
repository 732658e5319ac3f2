"""Routes over HTTP: who hears of which alerts, what mutes what, what waits, and trying it out."""

from typing import Annotated

from fastapi import Path
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models.routing import AlertInhibition, AlertRoute
from mainstay_server.areas.alerts.schemas.routing import (
    GroupAnswer,
    GroupList,
    HearingAnswer,
    InhibitionAnswer,
    InhibitionChange,
    InhibitionList,
    NewInhibition,
    NewRoute,
    RouteAnswer,
    RouteChange,
    RouteList,
    RouteTest,
    RouteTestAnswer,
    given_of,
)
from mainstay_server.areas.alerts.service.routing import explaining, ground, inhibitions, routes
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, page_within
from mainstay_server.kernel.web import Cursor, Limit, Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef

ROUTES = "/api/projects/{slug}/alert-routes"
ROUTE = ROUTES + "/{route_id}"
INHIBITIONS = "/api/projects/{slug}/alert-inhibitions"
INHIBITION = INHIBITIONS + "/{inhibition_id}"

router = Router()

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]
RouteId = Annotated[str, Path(description="The id of the route.", max_length=36)]
RuleId = Annotated[str, Path(description="The id of the rule.", max_length=36)]


@router.get(ROUTES, summary="List alert routes", operation_id="list_alert_routes")
def list_routes(
    session: Session, project: Viewed, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> RouteList:
    """The routes of a project, in the order in which they are read up to the first that fits."""
    page = page_within(
        ground.routes_of(session, project.id),
        limit=limit,
        cursor=cursor,
        key=lambda route: (f"{route.position:04}", route.id),
    )
    return RouteList(routes=[_answer(each) for each in page.items], next_cursor=page.next_cursor)


@router.post(
    ROUTES, status_code=201, summary="Add an alert route", operation_id="create_alert_route"
)
def create_route(session: Session, project: Written, body: NewRoute) -> RouteAnswer:
    """Let alerts by their labels go to some channels, which then hear by routes only."""
    wanted = {"matchers": "", **given_of(body)}
    about = (project.organization_id, project.id)
    return _answer(routes.create_route(session, about, wanted, now=utc_now()))


@router.get(ROUTE, summary="One alert route", operation_id="get_alert_route")
def get_route(session: Session, project: Viewed, route_id: RouteId) -> RouteAnswer:
    """One route of a project."""
    return _answer(routes.get_route(session, project.id, route_id))


@router.patch(ROUTE, summary="Change an alert route", operation_id="change_alert_route")
def change_route(
    session: Session, project: Written, route_id: RouteId, body: RouteChange
) -> RouteAnswer:
    """Change a route, mute it, or let it stand elsewhere; what is left out stays."""
    route = routes.get_route(session, project.id, route_id)
    return _answer(routes.change_route(session, route, given_of(body), now=utc_now()))


@router.delete(
    ROUTE, status_code=204, summary="Remove an alert route", operation_id="remove_alert_route"
)
def remove_route(session: Session, project: Written, route_id: RouteId) -> None:
    """Remove a route; channels that no route names any more hear all again."""
    route = routes.get_route(session, project.id, route_id)
    routes.remove_route(session, route, now=utc_now())


@router.post(
    "/api/projects/{slug}/alert-route-test",
    summary="Try alert routes",
    operation_id="test_alert_routes",
)
def test_routes(session: Session, project: Written, body: RouteTest) -> RouteTestAnswer:
    """Which channels would hear of an alert with these labels now, why, and why not the others."""
    found = explaining.explain(session, project.id, body.labels, now=utc_now())
    return RouteTestAnswer(
        routes=[route.name for route in found.routes],
        held=found.held or None,
        channels=[
            HearingAnswer(
                channel_id=each.verdict.ear.id,
                channel=each.name,
                hears=each.verdict.hears,
                route=each.verdict.route.name if each.verdict.route else None,
                why=each.verdict.why,
                quiet=each.quiet or None,
            )
            for each in found.hearings
        ],
    )


@router.get(
    "/api/projects/{slug}/alert-groups",
    summary="List groups of alerts",
    operation_id="list_alert_groups",
)
def list_groups(
    session: Session, project: Viewed, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> GroupList:
    """What each channel hears together: how many alerts wait, are held back, or were told."""
    page = explaining.list_waiting(session, project.id, limit=limit, cursor=cursor)
    return GroupList(
        groups=[
            GroupAnswer(
                id=each.group.id,
                channel_id=each.channel.id,
                channel=each.channel.name,
                route=each.route or None,
                labels=each.group.labels,
                waiting=each.waiting,
                held=each.held,
                told=each.stands,
                ending=each.ending,
                reason=each.reason or None,
                due_at=each.group.due_at,
                told_at=each.group.told_at,
            )
            for each in page.items
        ],
        next_cursor=page.next_cursor,
    )


@router.get(INHIBITIONS, summary="List rules of inhibition", operation_id="list_alert_inhibitions")
def list_inhibitions(
    session: Session, project: Viewed, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> InhibitionList:
    """A project's own rules; by default a critical alert mutes milder ones of the same thing."""
    page = page_within(
        inhibitions.inhibitions_of(session, project.id),
        limit=limit,
        cursor=cursor,
        key=lambda rule: (rule.id,),
    )
    return InhibitionList(
        inhibitions=[_rule(each) for each in page.items], next_cursor=page.next_cursor
    )


@router.post(
    INHIBITIONS,
    status_code=201,
    summary="Add a rule of inhibition",
    operation_id="create_alert_inhibition",
)
def create_inhibition(session: Session, project: Written, body: NewInhibition) -> InhibitionAnswer:
    """Say which alerts are not told while a graver one is active."""
    about = (project.organization_id, project.id)
    return _rule(inhibitions.create_inhibition(session, about, body.model_dump(), now=utc_now()))


@router.patch(
    INHIBITION, summary="Change a rule of inhibition", operation_id="change_alert_inhibition"
)
def change_inhibition(
    session: Session, project: Written, inhibition_id: RuleId, body: InhibitionChange
) -> InhibitionAnswer:
    """Change a rule, or switch it off; what is left out stays."""
    rule = inhibitions.get_inhibition(session, project.id, inhibition_id)
    changes = body.model_dump(exclude_none=True)
    return _rule(inhibitions.change_inhibition(session, rule, changes, now=utc_now()))


@router.delete(
    INHIBITION,
    status_code=204,
    summary="Remove a rule of inhibition",
    operation_id="remove_alert_inhibition",
)
def remove_inhibition(session: Session, project: Written, inhibition_id: RuleId) -> None:
    """Remove a rule; what it held back and still lasts is told within seconds."""
    rule = inhibitions.get_inhibition(session, project.id, inhibition_id)
    inhibitions.remove_inhibition(session, rule, now=utc_now())


def _answer(route: AlertRoute) -> RouteAnswer:
    return RouteAnswer.model_validate(route)


def _rule(rule: AlertInhibition) -> InhibitionAnswer:
    return InhibitionAnswer.model_validate(rule)
