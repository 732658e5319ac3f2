"""The addresses of badges, which only who is told them knows."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from mainstay_server.areas.status_pages.models import StatusPage
from mainstay_server.areas.status_pages.schemas.answers import StatusBadge

from .badges import Kind, signature_of
from .components import list_components
from .reading import page_url


def badges_of(session: Session, page: StatusPage) -> Sequence[StatusBadge]:
    """The badges of a page, of each component, and of each check or heartbeat that one shows."""
    shown = list_components(session, page.id)
    found = [badge_for(page, "page", page.id, page.name)]
    found += [badge_for(page, "component", each.id, each.name) for each in shown]
    found += [
        badge_for(page, "check", each.subject_id, each.name) for each in shown if each.subject_id
    ]
    return found


def badge_for(page: StatusPage, kind: Kind, one: str, name: str) -> StatusBadge:
    """The six addresses of one thing's badges."""
    signature = signature_of(page.id, kind, one, page.badge_version)
    path = f"{page_url(page)}/badge/{signature}/{kind}/{one}"
    return StatusBadge(
        kind=kind,
        id=one,
        name=name,
        status_svg=f"{path}/status.svg",
        status_json=f"{path}/status.json",
        status_shields=f"{path}/status.shields.json",
        uptime_svg=f"{path}/uptime.svg",
        uptime_json=f"{path}/uptime.json",
        uptime_shields=f"{path}/uptime.shields.json",
    )
