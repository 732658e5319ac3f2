"""Bans on the security page: who is kept out and why, one click to lift, and the mode."""

from datetime import timedelta
from typing import Annotated

from fastapi import Form
from sqlalchemy.orm import Session
from starlette.responses import Response

from mainstay_server.kernel.area import Panel, PanelRequest
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.networks import shown
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.frame import done_or_refused
from mainstay_server.tenancy.models import Role
from mainstay_server.ui import fragment

from .models import Mode
from .service import bans, watching

router = Router(prefix="/dashboard/projects/{slug}/abuse/{instance_id}", include_in_schema=False)

Administered = Annotated[InstanceRef, access.instance(Role.ADMIN)]
SHOWN = 25


@router.post("/mode")
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


@router.post("/ban")
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


@router.post("/{ban_id}/lift")
def lift(session: Session, instance: Administered, ban_id: str) -> Response:
    """End a ban before its time."""
    return done_or_refused(
        session,
        lambda: bans.lift(session, instance, ban_id, now=utc_now()),
        path=instance.page("security"),
        done="The ban was lifted.",
    )


def draw_panel(asked: PanelRequest) -> str:
    """Who is kept out now, and what was banned, simulated or lifted in the page's time range."""
    since = asked.now - timedelta(hours=asked.hours)
    newest = bans.list_bans(asked.session, asked.instance.id, limit=SHOWN, cursor="").items
    active = bans.active_bans(asked.session, asked.instance.id, now=asked.now)
    return fragment(
        asked.request,
        "abuse/panel.html",
        instance=asked.instance,
        mode=str(watching.find_settings(asked.session, asked.instance.id).mode),
        active=active[:SHOWN],
        active_count=len(active),
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
