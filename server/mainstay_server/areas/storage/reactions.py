"""Reactions: what went with an instance is counted in the plan no longer."""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.contracts.tenancy import InstanceRemoved
from mainstay_server.kernel.events import on

from .service import uses


@on(InstanceRemoved)
def give_room_back(session: Session, event: InstanceRemoved, *, now: datetime) -> None:
    """Count what the buckets of an instance or project that is gone held no longer."""
    uses.follow_what_is_left(session, event.organization_id, now=now)
