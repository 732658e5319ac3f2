"""What people see of bans: a panel of the security page, and the page that lists all of them."""

from datetime import timedelta
from typing import Annotated

from fastapi import Form
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.kernel.area import Panel, PanelRequest
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.networks import shown
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.frame import done_or_refused, may_administer, project_frame
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import fragment, render

from .models import Mode
from .schemas import is_active
from .service import bans, watching

router = Router(include_in_schema=False)

BASE = "/dashboard/projects/{slug}/abuse/{instance_id}"
Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Administered = Annotated[InstanceRef, access.instance(Role.ADMIN)]
SHOWN = 10
PER_PAGE = 50
MOST_LIFTED_AT_ONCE = 50


@router.get("/dashboard/projects/{slug}/bans")
def show_bans(request: Request, session: Session, project: Viewed) -> Response:
    """The bans of the chosen instance: those that keep somebody out, or all that ever were."""
    now = utc_now()
    frame = project_frame(request, session, project, page="security", now=now)
    instance: InstanceRef = frame["instance"]
    asked = request.query_params
    everything = asked.get("show") == "all"
    page = bans.list_bans(
        session,
        instance.id,
        limit=PER_PAGE,
        cursor=asked.get("cursor", ""),
        search=asked.get("q", "")[:100],
        active_at=None if everything else now,
    )
    return render(
        request,
        "abuse/bans.html",
        **frame,
        bans=page.items,
        next_cursor=page.next_cursor,
        active_count=bans.count_active(session, instance.id, now=now),
        everything=everything,
        may_administer=may_administer(request),
        search=asked.get("q", ""),
        is_active=is_active,
        shown=shown,
    )


@router.post(BASE + "/mode")
def change_mode(
    session: Session, instance: Administered, mode: Annotated[Mode, Form()] = Mode.SIMULATE
) -> Response:
    """Switch between looking away, simulating and banning."""
    return done_or_refused(
        session,
        lambda: watching.change_settings(
            session, instance, mode=mode, thresholds=None, now=utc_now()
        ),
        path=instance.page("security"),
        done=f"Abuse: {mode}.",
    )


@router.post(BASE + "/ban")
def ban(
    session: Session,
    instance: Administered,
    network: Annotated[str, Form(max_length=60)] = "",
    minutes: Annotated[int, Form(ge=1, le=366 * 24 * 60)] = 60,
    reason: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Keep an address or network out by hand."""
    return done_or_refused(
        session,
        lambda: bans.ban_by_hand(
            session, instance, network, minutes=minutes, reason=reason, now=utc_now()
        ),
        path=instance.page("security"),
        done=f"{network.strip()} is kept out now.",
    )


@router.post(BASE + "/{ban_id}/lift")
def lift(session: Session, instance: Administered, ban_id: str) -> Response:
    """End a ban before its time."""
    return done_or_refused(
        session,
        lambda: bans.lift(session, instance, ban_id, now=utc_now()),
        path=instance.page("security"),
        done="The ban was lifted.",
    )


@router.post(BASE + "/lift")
def lift_several(
    session: Session,
    instance: Administered,
    ban: Annotated[list[str], Form(max_length=MOST_LIFTED_AT_ONCE)],
) -> Response:
    """End the chosen bans before their time."""
    now = utc_now()

    def lift_all() -> None:
        for ban_id in ban:
            bans.lift(session, instance, ban_id, now=now)

    return done_or_refused(
        session, lift_all, path=instance.page("bans"), done=f"Lifted: {len(ban)}."
    )


def draw_panel(asked: PanelRequest) -> str:
    """Who is kept out now, and what was banned, simulated or lifted in the page's time range."""
    since = asked.now - timedelta(hours=asked.hours)
    newest = bans.list_bans(asked.session, asked.instance.id, limit=SHOWN, cursor="").items
    active = bans.list_bans(
        asked.session, asked.instance.id, limit=SHOWN, cursor="", active_at=asked.now
    ).items
    return fragment(
        asked.request,
        "abuse/panel.html",
        instance=asked.instance,
        mode=str(watching.find_settings(asked.session, asked.instance.id).mode),
        active=active,
        active_count=bans.count_active(asked.session, asked.instance.id, now=asked.now),
        past=[
            each
            for each in newest
            if each.starts_at >= since
            and (each.simulated or each.lifted_at is not None or each.until <= asked.now)
        ],
        may_administer=asked.may_administer,
        now=asked.now,
        shown=shown,
    )


panel = Panel(page="security", name="abuse", title="Bans", order=20, draw=draw_panel)
