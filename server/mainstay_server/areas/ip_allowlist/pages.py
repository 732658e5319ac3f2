"""The allowlist on the security page: a panel with its forms."""

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

from . import service

router = Router(
    prefix="/dashboard/projects/{slug}/allowlist/{instance_id}", include_in_schema=False
)

Administered = Annotated[InstanceRef, access.instance(Role.ADMIN)]
Text = Annotated[str, Form(max_length=200)]


@router.post("/add")
def add(
    session: Session, instance: Administered, network: Text = "", description: Text = ""
) -> Response:
    """Let an address or network in."""
    return done_or_refused(
        session,
        lambda: service.add_entry(
            session, instance, network, description=description, now=utc_now()
        ),
        path=instance.page("security"),
        done=f"{network.strip()} is let in now.",
    )


@router.post("/{entry_id}/toggle")
def toggle(session: Session, instance: Administered, entry_id: str) -> Response:
    """Switch an entry on or off."""
    return done_or_refused(
        session,
        lambda: service.change_entry(session, instance, entry_id, now=utc_now()),
        path=instance.page("security"),
        done="The entry was switched.",
    )


@router.post("/{entry_id}/remove")
def remove(session: Session, instance: Administered, entry_id: str) -> Response:
    """Take an entry away."""
    return done_or_refused(
        session,
        lambda: service.remove_entry(session, instance, entry_id, now=utc_now()),
        path=instance.page("security"),
        done="The entry was removed.",
    )


def draw_panel(asked: PanelRequest) -> str:
    """The entries of an instance, what they mean together, and the form for one more."""
    entries = service.list_entries(asked.session, asked.instance.id)
    return fragment(
        asked.request,
        "ip_allowlist/panel.html",
        instance=asked.instance,
        entries=entries,
        shown=shown,
        active=any(entry.enabled for entry in entries),
        may_administer=asked.may_administer,
    )


panel = Panel(page="security", name="allowlist", title="IP allowlist", order=30, draw=draw_panel)
