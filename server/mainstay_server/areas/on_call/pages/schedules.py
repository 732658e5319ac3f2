"""The page of a schedule: two weeks as a calendar, its layers, overrides and calendars."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.on_call.models import OnCallSchedule
from mainstay_server.areas.on_call.schemas.schedules import LayerBody
from mainstay_server.areas.on_call.service import calendars, feeds, schedules
from mainstay_server.areas.on_call.service.people import GONE, Member, members_of
from mainstay_server.areas.on_call.service.rotations import instant_of
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid, Problem
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.frame import done_or_refused, redirect_with

from .frame import PATH, SCHEDULES, Form, Seen, Written, number_of, page_of, text_of, texts_of
from .strips import fortnight_of

ONE = SCHEDULES + "/{schedule_id:id}"
MOST_SHOWN = 40
ROTATES = (("daily", "day(s)"), ("weekly", "week(s)"), ("hourly", "hour(s)"))
DAYS = (
    ("MO", "Mon"),
    ("TU", "Tue"),
    ("WE", "Wed"),
    ("TH", "Thu"),
    ("FR", "Fri"),
    ("SA", "Sat"),
    ("SU", "Sun"),
)

router = Router()


@router.post(SCHEDULES)
def make_schedule(session: Session, caller: Written, form: Form) -> Response:
    """Make a schedule, with the one who makes it on call week by week."""
    now = utc_now()
    zone = text_of(form, "time_zone") or "UTC"
    layer = {
        "name": "Week by week",
        "person_ids": [caller.person_id],
        "starts_at": f"{now:%Y-%m-%d}T09:00",
    }
    wanted = {"name": text_of(form, "name")[:100], "time_zone": zone, "layers": [layer]}
    try:
        with session.begin_nested():
            made = schedules.make_schedule(session, caller.organization_id, wanted, now=now)
    except Problem as refused:
        return redirect_with(PATH, refused.detail, "critical")
    said = "The schedule is there, with you alone in it; add who else takes turns."
    return redirect_with(f"{SCHEDULES}/{made.id}", said)


@router.get(ONE)
def show_schedule(request: Request, session: Session, caller: Seen, schedule_id: str) -> Response:
    """Two weeks of a schedule, and all that makes them."""
    found = schedules.get_schedule(session, caller.organization_id, schedule_id)
    return _page(request, session, caller, found)


@router.post(ONE + "/change")
def change_schedule(session: Session, caller: Written, schedule_id: str, form: Form) -> Response:
    """Call it otherwise, or put it on the clocks of another zone."""
    wanted = {"name": text_of(form, "name")[:100], "time_zone": text_of(form, "time_zone")}

    def change() -> None:
        found = schedules.get_schedule(session, caller.organization_id, schedule_id, locked=True)
        schedules.change_schedule(session, found, wanted, now=utc_now())

    return _done(session, change, schedule_id, "Changed, from now on.")


@router.post(ONE + "/remove")
def remove_schedule(session: Session, caller: Written, schedule_id: str) -> Response:
    """Remove it with its overrides and calendars."""

    def remove() -> None:
        found = schedules.get_schedule(session, caller.organization_id, schedule_id, locked=True)
        schedules.remove_schedule(session, found, now=utc_now())

    return done_or_refused(session, remove, path=PATH, done="The schedule was removed.")


@router.post(ONE + "/layers")
def save_layer(
    request: Request, session: Session, caller: Written, schedule_id: str, form: Form
) -> Response:
    """Add a layer, or put another in the place of one."""
    found = schedules.get_schedule(session, caller.organization_id, schedule_id, locked=True)
    members = members_of(session, caller.organization_id)
    try:
        layer = _layer_from(form, members)
        with session.begin_nested():
            layers = [each.model_dump() for each in schedules.layers_of(found)]
            ids = [each["id"] for each in layers]
            if layer.id in ids:
                layers[ids.index(layer.id)] = layer.model_dump()
            else:
                layers.append(layer.model_copy(update={"id": ""}).model_dump())
            wanted = {"layers": layers[: schedules.MOST_SCHEDULES]}
            schedules.change_schedule(session, found, wanted, now=utc_now())
    except Problem as refused:
        return _page(request, session, caller, found, problem=refused.detail, sent=form)
    return redirect_with(f"{SCHEDULES}/{schedule_id}", f"The layer {layer.name} holds from now on.")


@router.post(ONE + "/layers/{layer_id}/remove")
def remove_layer(session: Session, caller: Written, schedule_id: str, layer_id: str) -> Response:
    """Take one layer away; what it covered shows again."""

    def remove() -> None:
        found = schedules.get_schedule(session, caller.organization_id, schedule_id, locked=True)
        left = [each.model_dump() for each in schedules.layers_of(found) if each.id != layer_id]
        schedules.change_schedule(session, found, {"layers": left}, now=utc_now())

    return _done(session, remove, schedule_id, "The layer was removed.")


@router.post(ONE + "/overrides")
def make_override(session: Session, caller: Written, schedule_id: str, form: Form) -> Response:
    """Have somebody take over, from and to what clocks of the schedule show."""

    def make() -> None:
        found = schedules.get_schedule(session, caller.organization_id, schedule_id)
        zone = ZoneInfo(found.time_zone)
        span = (
            _moment_of(text_of(form, "starts_at"), zone),
            _moment_of(text_of(form, "ends_at"), zone),
        )
        person_id = text_of(form, "person_id")[:36]
        schedules.make_override(session, found, person_id, span, now=utc_now())

    return _done(session, make, schedule_id, "They take over.")


@router.post(ONE + "/overrides/{override_id:id}/remove")
def remove_override(
    session: Session, caller: Written, schedule_id: str, override_id: str
) -> Response:
    """What the layers say holds again."""

    def remove() -> None:
        found = schedules.get_schedule(session, caller.organization_id, schedule_id)
        schedules.remove_override(session, found, override_id, now=utc_now())

    return _done(session, remove, schedule_id, "The override was removed.")


@router.post(ONE + "/calendars")
def add_calendar(session: Session, caller: Written, schedule_id: str, form: Form) -> Response:
    """Have it read a calendar."""

    def add() -> None:
        found = schedules.get_schedule(session, caller.organization_id, schedule_id)
        calendars.add_calendar(
            session,
            found,
            name=text_of(form, "name")[:100],
            url=text_of(form, "url")[:2000],
            text=text_of(form, "text"),
            now=utc_now(),
        )

    return _done(session, add, schedule_id, "The calendar is read within a minute.")


@router.post(ONE + "/calendars/{calendar_id:id}/remove")
def remove_calendar(
    session: Session, caller: Written, schedule_id: str, calendar_id: str
) -> Response:
    """Read it no more."""

    def remove() -> None:
        found = schedules.get_schedule(session, caller.organization_id, schedule_id)
        calendars.remove_calendar(session, found, calendar_id, now=utc_now())

    return _done(session, remove, schedule_id, "The calendar is read no more.")


@router.post(ONE + "/feed")
def make_feed(session: Session, caller: Written, schedule_id: str) -> Response:
    """Make its private address, at which calendars read it."""

    def make() -> None:
        found = schedules.get_schedule(session, caller.organization_id, schedule_id)
        about = feeds.about_schedule(found.id)
        feeds.make_feed(session, caller.organization_id, about, now=utc_now())

    return _done(session, make, schedule_id, "The address was made; one made before ended.")


def _done(session: Session, act: Callable[[], object], schedule_id: str, done: str) -> Response:
    return done_or_refused(session, act, path=f"{SCHEDULES}/{schedule_id}", done=done)


def _page(
    request: Request,
    session: Session,
    caller: Caller,
    found: OnCallSchedule,
    *,
    problem: str = "",
    sent: FormData | None = None,
) -> Response:
    now, members = utc_now(), members_of(session, caller.organization_id)
    weeks = fortnight_of(schedules.plan_of(session, found), members, now=now)
    feed = feeds.find_feed(session, caller.organization_id, feeds.about_schedule(found.id))
    layers = [_values_of(layer, members) for layer in schedules.layers_of(found)]
    return page_of(
        request,
        session,
        caller,
        "schedule",
        schedule=found,
        weeks=weeks,
        shifts=weeks.shifts[:MOST_SHOWN],
        zone=ZoneInfo(found.time_zone),
        members=members,
        layers=layers,
        new_layer=_again(sent) if sent else _new_layer(now, found, caller),
        overrides=schedules.list_overrides(
            session, found, limit=schedules.MOST_OVERRIDES, now=now
        ).items,
        calendars=calendars.list_calendars(session, found).items,
        shown=calendars.shown,
        feed=base_url(request) + feeds.path_of(feed) if feed else "",
        problem=problem,
        ROTATES=ROTATES,
        DAYS=DAYS,
        zones=sorted(available_timezones()),
        here=f"{SCHEDULES}/{found.id}",
    )


def _layer_from(form: FormData, members: dict[str, Member]) -> LayerBody:
    """The layer that a form describes: its people by e-mail, one a line. Raises `Invalid`."""
    by_email = {member.email: member.id for member in members.values()}
    people = []
    for line in text_of(form, "people").splitlines():
        address = line.strip().lower()
        if not address:
            continue
        if address not in by_email:
            raise Invalid(f"{line.strip()[:100]} is the address of no member.")
        people.append(by_email[address])
    wanted = {
        "id": text_of(form, "id")[:36],
        "name": text_of(form, "name"),
        "person_ids": people,
        "rotates": text_of(form, "rotates"),
        "every": number_of(form, "every", otherwise=1),
        "starts_at": text_of(form, "starts_at"),
        "days": texts_of(form, "days"),
        "from_time": text_of(form, "from_time"),
        "to_time": text_of(form, "to_time"),
    }
    try:
        return LayerBody.model_validate(wanted)
    except ValidationError as error:
        first = error.errors()[0]
        field = "".join(str(part) for part in first["loc"][:1]).replace("_", " ")
        words = {"person ids": "People", "name": "Name"}.get(field, field.capitalize())
        raise Invalid(
            f"{words}: {first['msg'].removeprefix('Value error, ')}.".lstrip(": ")
        ) from None


def _values_of(layer: LayerBody, members: dict[str, Member]) -> dict[str, Any]:
    """A layer as its form shows it."""
    people = [members[one].email if one in members else GONE for one in layer.person_ids]
    return {
        **layer.model_dump(),
        "people": "\n".join(people),
        "names": [members[one].name if one in members else GONE for one in layer.person_ids],
    }


def _new_layer(now: datetime, found: OnCallSchedule, caller: Caller) -> dict[str, Any]:
    today = now.astimezone(ZoneInfo(found.time_zone))
    return {
        "id": "",
        "name": "",
        "people": caller.person_email,
        "rotates": "weekly",
        "every": 1,
        "starts_at": f"{today:%Y-%m-%d}T09:00",
        "days": [],
        "from_time": "",
        "to_time": "",
    }


def _again(sent: FormData) -> dict[str, Any]:
    """What was sent, as the form shows it again."""
    names = ("id", "name", "people", "rotates", "every", "starts_at", "from_time", "to_time")
    return {name: text_of(sent, name) for name in names} | {"days": texts_of(sent, "days")}


def _moment_of(text: str, zone: ZoneInfo) -> datetime:
    try:
        wall = datetime.fromisoformat(text)
        return instant_of(wall.replace(tzinfo=None), zone)
    except (ValueError, OverflowError):
        raise Invalid("Say from when to when somebody takes over.") from None
