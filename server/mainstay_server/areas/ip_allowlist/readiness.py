"""What going live asks about the allowlist: does it keep anybody out."""

from datetime import datetime
from ipaddress import ip_network

from sqlalchemy.orm import Session

from mainstay_server.kernel.readiness import (
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Weight,
    readiness_check,
)
from mainstay_server.kernel.subjects import InstanceRef

from . import service


@readiness_check(
    "ip_allowlist.narrow", "Does its allowlist keep anybody out?", weight=Weight.SHOULD
)
def the_allowlist_is_narrow(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Ask that nobody let the whole internet in by an entry that was meant for a test."""
    networks = service.allowed_networks(session, instance.id)
    if not networks:
        return NotApplicable(reason="It has no allowlist: its API is for everybody.")
    everybody = next((text for text in networks if ip_network(text).prefixlen == 0), None)
    if everybody is None:
        return Passed(evidence=f"{len(networks)} entries are on.")
    return Finding(
        problem=f"The entry {everybody} lets everybody in.",
        fix="Remove it, or switch it off.",
        fix_url=instance.page("security"),
    )
