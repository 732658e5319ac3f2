"""Routes as people set them: which alerts go to which channels, gathered and repeated how."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import AlertChannel
from mainstay_server.areas.alerts.models.routing import AlertRoute
from mainstay_server.contracts.alerts.routing import (
    AlertRouteChanged,
    AlertRouteCreated,
    AlertRouteRemoved,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.problems import Conflict, NotFound

from .checking import checked_labels, checked_name, checked_quiet, kept_matchers
from .ground import MOST_ROUTES, routes_of
from .named import get_named, remove_named, say_made, saying_changes
from .pacing import DEFAULT_GROUP_BY

DEFAULTS: Mapping[str, Any] = {
    "goes_on": False,
    "group_by": list(DEFAULT_GROUP_BY),
    "wait_seconds": 0,
    "interval_seconds": 60,
    "repeat_seconds": 0,
    "enabled": True,
    "muted_until": None,
    "mute_times": "",
    "time_zone": "UTC",
}
FACTS = ("name", "matchers", "channel_ids", "position", *DEFAULTS)


def create_route(
    session: Session,
    about: tuple[str, str],
    wanted: Mapping[str, Any],
    *,
    in_order: bool = True,
    now: datetime,
) -> AlertRoute:
    """Add a route to the routes of `(organization id, project id)`, last unless it says where.

    The others make room and are numbered anew, unless all of their places are told (`in_order`).

    Raises:
        Invalid: matchers or times that cannot be read, or a channel that the project does not have.
        Conflict: the name is there already, or a hundred routes are.
    """
    organization_id, project_id = about
    present = routes_of(session, project_id)
    if len(present) >= MOST_ROUTES:
        raise Conflict(f"There are {MOST_ROUTES} routes already; remove one first.")
    values = dict(DEFAULTS) | _checked(session, project_id, wanted, present)
    position = values.pop("position", None) or len(present) + 1
    route = AlertRoute(
        id=new_id(),
        organization_id=organization_id,
        project_id=project_id,
        position=position,
        created_at=now,
        **values,
    )
    session.add(route)
    session.flush()
    if in_order:
        _put_at(session, route, position)
    say_made(session, route, FACTS, AlertRouteCreated, now=now)
    return route


def change_route(
    session: Session,
    route: AlertRoute,
    changes: Mapping[str, Any],
    *,
    in_order: bool = True,
    now: datetime,
) -> AlertRoute:
    """Change a route; what is left out stays. What waits already is told as it now says.

    Raises as `create_route` does.
    """
    others = [one for one in routes_of(session, route.project_id) if one.id != route.id]
    values = _checked(session, route.project_id, changes, others)
    position = values.pop("position", None) if in_order else None
    with saying_changes(session, route, FACTS, AlertRouteChanged, now=now):
        for name, value in values.items():
            setattr(route, name, value)
        if position is not None:
            _put_at(session, route, position)
    return route


def remove_route(session: Session, route: AlertRoute, *, now: datetime) -> None:
    """Remove a route; what waits by it is told as if it had none."""
    remove_named(session, route, FACTS, AlertRouteRemoved, now=now)


def get_route(session: Session, project_id: str, route_id: str) -> AlertRoute:
    """A route of a project. Raises `NotFound`."""
    missing = "There is no such route; GET …/alert-routes lists them."
    return get_named(session, AlertRoute, project_id, route_id, missing=missing)


def forget_channel(session: Session, channel: AlertChannel) -> None:
    """Take a channel that is removed out of the routes that name it."""
    for route in routes_of(session, channel.project_id):
        if channel.id in route.channel_ids:
            route.channel_ids = [one for one in route.channel_ids if one != channel.id]


def _checked(
    session: Session,
    project_id: str,
    wanted: Mapping[str, Any],
    others: Sequence[AlertRoute],
) -> dict[str, Any]:
    """What is wanted of a route as it is kept."""
    values = dict(wanted)
    if "name" in values:
        values["name"] = checked_name(values["name"], {one.name for one in others})
    if "matchers" in values:
        values["matchers"] = kept_matchers("matchers", values["matchers"], empty=True)
    if "channel_ids" in values:
        values["channel_ids"] = _channels(session, project_id, values["channel_ids"])
    if "group_by" in values:
        values["group_by"] = checked_labels("groupBy", values["group_by"])
    return checked_quiet(values)


def _put_at(session: Session, route: AlertRoute, position: int) -> None:
    """Let a route stand at a place, and number all anew."""
    session.flush()
    rest = [one for one in routes_of(session, route.project_id) if one.id != route.id]
    rest.insert(min(max(position, 1), len(rest) + 1) - 1, route)
    for number, each in enumerate(rest, start=1):
        each.position = number
    session.flush()


def _channels(session: Session, project_id: str, wanted: Sequence[str]) -> list[str]:
    """The channels that a route leads to: none where what fits is told to nobody."""
    ids = list(dict.fromkeys(wanted))
    found = session.scalars(
        sa.select(AlertChannel.id).where(
            AlertChannel.project_id == project_id, AlertChannel.id.in_(ids)
        )
    )
    if missing := sorted(set(ids) - set(found)):
        raise NotFound(f"The project has no channel {missing[0]!r}; its channels list them.")
    return ids
