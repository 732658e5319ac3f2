"""The overview: who is on call now, what is being escalated, the policies."""

from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.on_call.service import escalating, feeds, policies, schedules
from mainstay_server.areas.on_call.service.people import members_of, name_of
from mainstay_server.kernel.area import OrganizationEntry
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.mailing import why_no_mail
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.frame import redirect_with
from mainstay_server.tenancy.models import Role

from .frame import PATH, Seen, Written, page_of
from .reaches import reaches_of
from .strips import fortnight_of

MOST_RECENT = 10
MOST_OPEN = 50

router = Router()
entry = OrganizationEntry(
    label="On call", page="organization/on-call", icon="calendar", order=4, role=Role.VIEWER
)


@router.get(PATH)
def show_overview(request: Request, session: Session, caller: Seen) -> Response:
    """Who is on call now, what is being escalated, and the policies."""
    now, organization_id = utc_now(), caller.organization_id
    members = members_of(session, organization_id)
    text = request.query_params.get("q", "")[:100]
    page = schedules.list_schedules(
        session, organization_id, text=text, limit=schedules.MOST_SCHEDULES
    )
    lines = []
    for schedule in page.items:
        weeks = fortnight_of(schedules.plan_of(session, schedule), members, now=now)
        current, zone = weeks.shifts[0], ZoneInfo(schedule.time_zone)
        is_there = current.person_id in members
        lines.append(
            {
                "schedule": schedule,
                "weeks": weeks,
                "name": name_of(members, current.person_id) if is_there else "",
                "until_there": f"{current.ended_at.astimezone(zone):%a %-d %b %Y, %H:%M}",
            }
        )
    running = escalating.list_escalations(
        session, organization_id, only_open=True, limit=MOST_OPEN
    ).items
    recent = escalating.list_escalations(session, organization_id, limit=MOST_RECENT).items
    my_feed = feeds.find_feed(session, organization_id, feeds.about_person(caller.person_id))
    return page_of(
        request,
        session,
        caller,
        "overview",
        lines=lines,
        text=text,
        running=running,
        recent=[each for each in recent if each not in running],
        policies=policies.list_policies(
            session, organization_id, limit=policies.MOST_POLICIES
        ).items,
        reaches=reaches_of(session, organization_id),
        no_mail=why_no_mail(),
        my_feed=base_url(request) + feeds.path_of(my_feed) if my_feed else "",
    )


@router.post(f"{PATH}/feed")
def make_my_feed(session: Session, caller: Written) -> Response:
    """Make the private address of one's own shifts."""
    feeds.make_feed(
        session, caller.organization_id, feeds.about_person(caller.person_id), now=utc_now()
    )
    return redirect_with(PATH, "The address of your shifts was made; one made before ended.")
