"""What abuse does when others act: who is put on the allowlist is not banned any more."""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.contracts.ip_allowlist import AllowlistEntryAdded, AllowlistEntryChanged
from mainstay_server.kernel.events import on
from mainstay_server.tenancy.subjects import find_instance

from .service import bans


@on(AllowlistEntryAdded)
def lift_bans_of_the_allowed(
    session: Session, event: AllowlistEntryAdded, *, now: datetime
) -> None:
    """End the bans inside a network that is let in."""
    instance = find_instance(session, event.instance_id)
    if instance is not None:
        bans.lift_within(session, instance, event.network, now=now)


@on(AllowlistEntryChanged)
def lift_bans_of_the_switched_on(
    session: Session, event: AllowlistEntryChanged, *, now: datetime
) -> None:
    """End the bans inside a network whose entry was switched on."""
    instance = find_instance(session, event.instance_id)
    if instance is not None and event.changes.get("enabled") == (False, True):
        bans.lift_within(session, instance, event.network, now=now)
