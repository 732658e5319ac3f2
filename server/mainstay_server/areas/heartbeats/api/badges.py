"""Badges, for whoever has their address."""

from fastapi.responses import JSONResponse, Response
from sqlalchemy.orm import Session

from mainstay_server.areas.heartbeats.models import Heartbeat
from mainstay_server.areas.heartbeats.service import badges
from mainstay_server.areas.heartbeats.service.badges import Badge
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import NotFound
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access

router = Router(include_in_schema=False)
BY_ADDRESS = access.public("whoever has the signed address of a badge may see it")
HEADERS = {"cache-control": "max-age=30, public", "access-control-allow-origin": "*"}
UNKNOWN = "There is no such badge; copy its address from the page of the heartbeat."


@router.get("/b/{states}/{name}.{form}", dependencies=[BY_ADDRESS])
def show_badge(session: Session, states: int, name: str, form: str) -> Response:
    """How one heartbeat is."""
    heartbeat_id, _, given = name.rpartition("-")
    if not badges.is_signed(heartbeat_id, given):
        raise NotFound(UNKNOWN)
    found = session.get(Heartbeat, heartbeat_id)
    if found is None:
        raise NotFound(UNKNOWN)
    made = badges.badge_of([found], label=found.name or "heartbeat", states=states, now=utc_now())
    return _drawn(made, form)


@router.get("/badge/{instance_id}/{given}/{name}.{form}", dependencies=[BY_ADDRESS])
def show_badge_of_tag(
    session: Session, instance_id: str, given: str, name: str, form: str
) -> Response:
    """How all heartbeats with a tag are."""
    three = f"{badges.WITH_LATE}-"
    candidates = [(2, name), (badges.WITH_LATE, name.removeprefix(three))]
    for states, tag in candidates:
        if badges.is_signed(f"{instance_id} {tag}", given):
            rows = badges.with_tag(session, instance_id, tag)
            label = "all" if tag == badges.ALL else tag
            return _drawn(badges.badge_of(rows, label=label, states=states, now=utc_now()), form)
    raise NotFound(UNKNOWN)


def _drawn(badge: Badge, form: str) -> Response:
    if form == "svg":
        return Response(badges.as_svg(badge), media_type="image/svg+xml", headers=HEADERS)
    if form == "json":
        return JSONResponse(badges.as_json(badge), headers=HEADERS)
    if form == "shields":
        return JSONResponse(badges.as_shields(badge), headers=HEADERS)
    raise NotFound(UNKNOWN)
