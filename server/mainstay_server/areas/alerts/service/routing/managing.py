"""Routes, inhibition and mutes as people set them: making, changing and removing them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import Alert, AlertChannel
from mainstay_server.areas.alerts.models.routing import AlertInhibition, AlertRoute
from mainstay_server.contracts.alerts import AlertMuted
from mainstay_server.contracts.alerts.routing import (
    AlertInhibitionChanged,
    AlertInhibitionCreated,
    AlertInhibitionRemoved,
    AlertRouteChanged,
    AlertRouteCreated,
    AlertRouteRemoved,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.matchers import parse_matchers, written
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound

from . import muting
from .ground import MOST_INHIBITIONS, MOST_ROUTES, routes_of
from .pacing import DEFAULT_GROUP_BY

MOST_NAMES = 20
LONGEST_NAME = 200
ROUTE_DEFAULTS: Mapping[str, Any] = {
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
ROUTE_FACTS = ("name", "matchers", "channel_ids", "position", *ROUTE_DEFAULTS)
INHIBITION_FACTS = ("name", "source", "target", "equal", "enabled")


class RouteNames(TypedDict):
    """What every event of a route carries."""

    organization_id: str
    project_id: str
    setting_id: str
    name: str


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
    values = dict(ROUTE_DEFAULTS) | _checked(session, project_id, wanted, present)
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
    changes = changes_between({}, facts_of(route, ROUTE_FACTS))
    say(session, AlertRouteCreated(**about_route(route), changes=changes), now=now)
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
    before = facts_of(route, ROUTE_FACTS)
    others = [one for one in routes_of(session, route.project_id) if one.id != route.id]
    values = _checked(session, route.project_id, changes, others)
    position = values.pop("position", None) if in_order else None
    for name, value in values.items():
        setattr(route, name, value)
    if position is not None:
        _put_at(session, route, position)
    session.flush()
    changed = changes_between(before, facts_of(route, ROUTE_FACTS))
    if changed:
        say(session, AlertRouteChanged(**about_route(route), changes=changed), now=now)
    return route


def remove_route(session: Session, route: AlertRoute, *, now: datetime) -> None:
    """Remove a route; what waits by it is told as if it had none."""
    changes = changes_between(facts_of(route, ROUTE_FACTS), {})
    say(session, AlertRouteRemoved(**about_route(route), changes=changes), now=now)
    session.delete(route)


def get_route(session: Session, project_id: str, route_id: str) -> AlertRoute:
    """A route of a project. Raises `NotFound`."""
    route = session.get(AlertRoute, route_id)
    if route is None or route.project_id != project_id:
        raise NotFound("There is no such route; GET …/alert-routes lists them.")
    return route


def forget_channel(session: Session, channel: AlertChannel) -> None:
    """Take a channel that is removed out of the routes that name it."""
    for route in routes_of(session, channel.project_id):
        if channel.id in route.channel_ids:
            route.channel_ids = [one for one in route.channel_ids if one != channel.id]


def create_inhibition(
    session: Session, about: tuple[str, str], wanted: Mapping[str, Any], *, now: datetime
) -> AlertInhibition:
    """Say which alerts mute which, for `(organization id, project id)`.

    Raises:
        Invalid: matchers that cannot be read, or that fit everything.
        Conflict: the name is there already, or a hundred rules are.
    """
    organization_id, project_id = about
    present = inhibitions_of(session, project_id)
    if len(present) >= MOST_INHIBITIONS:
        raise Conflict(f"There are {MOST_INHIBITIONS} rules already; remove one first.")
    name = _name(wanted["name"], {one.name for one in present})
    rule = AlertInhibition(
        id=new_id(),
        organization_id=organization_id,
        project_id=project_id,
        name=name,
        source=kept_matchers("source", wanted["source"], empty=False),
        target=kept_matchers("target", wanted["target"], empty=False),
        equal=_names("equal", wanted.get("equal", ())),
        enabled=wanted.get("enabled", True),
        created_at=now,
    )
    session.add(rule)
    session.flush()
    changes = changes_between({}, facts_of(rule, INHIBITION_FACTS))
    said = AlertInhibitionCreated(**_about_inhibition(rule), changes=changes)
    say(session, said, now=now)
    return rule


def change_inhibition(
    session: Session, rule: AlertInhibition, changes: Mapping[str, Any], *, now: datetime
) -> AlertInhibition:
    """Change a rule of inhibition; what is left out stays. Raises as `create_inhibition` does."""
    before = facts_of(rule, INHIBITION_FACTS)
    values = dict(changes)
    if "name" in values:
        others = {one.name for one in inhibitions_of(session, rule.project_id)} - {rule.name}
        values["name"] = _name(values["name"], others)
    for field in ("source", "target"):
        if field in values:
            values[field] = kept_matchers(field, values[field], empty=False)
    if "equal" in values:
        values["equal"] = _names("equal", values["equal"])
    for name, value in values.items():
        setattr(rule, name, value)
    session.flush()
    changed = changes_between(before, facts_of(rule, INHIBITION_FACTS))
    if changed:
        said = AlertInhibitionChanged(**_about_inhibition(rule), changes=changed)
        say(session, said, now=now)
    return rule


def remove_inhibition(session: Session, rule: AlertInhibition, *, now: datetime) -> None:
    """Remove a rule of inhibition; what it held back and still lasts is told."""
    changes = changes_between(facts_of(rule, INHIBITION_FACTS), {})
    said = AlertInhibitionRemoved(**_about_inhibition(rule), changes=changes)
    say(session, said, now=now)
    session.delete(rule)


def inhibitions_of(session: Session, project_id: str) -> Sequence[AlertInhibition]:
    """A project's own rules of inhibition, oldest first; at most 100, by the limit on making."""
    return session.scalars(
        sa.select(AlertInhibition)
        .where(AlertInhibition.project_id == project_id)
        .order_by(AlertInhibition.id)
        .limit(MOST_INHIBITIONS)
    ).all()


def get_inhibition(session: Session, project_id: str, rule_id: str) -> AlertInhibition:
    """A rule of inhibition of a project. Raises `NotFound`."""
    rule = session.get(AlertInhibition, rule_id)
    if rule is None or rule.project_id != project_id:
        raise NotFound("There is no such rule; GET …/alert-inhibitions lists them.")
    return rule


def mute_alert(session: Session, alert: Alert, until: datetime | None, *, now: datetime) -> Alert:
    """Tell nobody of an alert until then; None, or a time that has passed, ends that."""
    before = {"mutedUntil": _moment(alert.muted_until)}
    alert.muted_until = until if until is not None and until > now else None
    session.flush()
    changes = changes_between(before, {"mutedUntil": _moment(alert.muted_until)})
    if changes:
        said = AlertMuted(
            organization_id=alert.organization_id,
            project_id=alert.project_id,
            instance_id=alert.instance_id,
            alert_id=alert.id,
            type=alert.type,
            severity=alert.severity,
            title=alert.title,
            changes=changes,
        )
        say(session, said, now=now)
    return alert


def checked_quiet(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is given of when something is quiet, as it is kept. Raises `Invalid`."""
    kept = dict(given)
    if "mute_times" in kept:
        muting.spans_of(kept["mute_times"])
        kept["mute_times"] = " ".join(kept["mute_times"].split())
    if "time_zone" in kept:
        muting.zone_of(kept["time_zone"])
    return kept


def about_route(route: AlertRoute) -> RouteNames:
    """Whose a route is and what it is called, for what is said of it."""
    return {
        "organization_id": route.organization_id,
        "project_id": route.project_id,
        "setting_id": route.id,
        "name": route.name,
    }


def _about_inhibition(rule: AlertInhibition) -> dict[str, str]:
    return {
        "organization_id": rule.organization_id,
        "project_id": rule.project_id,
        "setting_id": rule.id,
        "name": rule.name,
    }


def _checked(
    session: Session,
    project_id: str,
    wanted: Mapping[str, Any],
    others: Sequence[AlertRoute],
) -> dict[str, Any]:
    """What is wanted of a route as it is kept."""
    values = dict(wanted)
    if "name" in values:
        values["name"] = _name(values["name"], {one.name for one in others})
    if "matchers" in values:
        values["matchers"] = kept_matchers("matchers", values["matchers"], empty=True)
    if "channel_ids" in values:
        values["channel_ids"] = _channels(session, project_id, values["channel_ids"])
    if "group_by" in values:
        values["group_by"] = _names("groupBy", values["group_by"])
    return checked_quiet(values)


def _put_at(session: Session, route: AlertRoute, position: int) -> None:
    """Let a route stand at a place, and number all anew."""
    session.flush()
    rest = [one for one in routes_of(session, route.project_id) if one.id != route.id]
    rest.insert(min(max(position, 1), len(rest) + 1) - 1, route)
    for number, each in enumerate(rest, start=1):
        each.position = number
    session.flush()


def _name(name: str, taken: set[str]) -> str:
    wanted = " ".join(name.split())
    if not wanted:
        raise _invalid("name", "is missing; call it after what it is for")
    if wanted in taken:
        raise Conflict(f"There is one called {wanted!r}; give this one another name.")
    return wanted


def kept_matchers(field: str, text: str, *, empty: bool) -> str:
    """Matchers as they are kept: in one spelling, without the braces."""
    try:
        found = parse_matchers(text)
    except Invalid as refused:
        raise Invalid(
            refused.detail, errors=[{"field": field, "message": refused.detail}]
        ) from None
    if not found and not empty:
        raise _invalid(field, 'must name a label at least, such as severity="critical"')
    return written(found)[1:-1]


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


def _names(field: str, names: Sequence[str]) -> list[str]:
    kept = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    if len(kept) > MOST_NAMES or any(len(name) > LONGEST_NAME for name in kept):
        raise _invalid(field, f"has at most {MOST_NAMES} names of {LONGEST_NAME} characters")
    return kept


def _moment(at: datetime | None) -> str:
    return at.isoformat() if at else ""


def _invalid(field: str, what: str) -> Invalid:
    message = f"{field} {what}."
    return Invalid(message, errors=[{"field": field, "message": message}])
