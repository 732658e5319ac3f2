"""What the scorecard asks of heartbeats, answered from live evidence."""

from datetime import datetime

import sqlalchemy as sa
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
from mainstay_server.kernel.watching import State

from .models import Heartbeat

SHOWN = 3


@readiness_check(
    "heartbeats.reported_once", "Has every heartbeat reported once?", weight=Weight.SHOULD
)
def every_heartbeat_has_reported_once(
    session: Session, instance: InstanceRef, now: datetime
) -> Outcome:
    """Whether somebody finished each of them: one that never reported watches nothing."""
    rows = session.execute(
        sa.select(Heartbeat.name, Heartbeat.pings_count)
        .where(Heartbeat.instance_id == instance.id, Heartbeat.state != State.PAUSED)
        .order_by(Heartbeat.name)
    ).all()
    if not rows:
        return NotApplicable(reason="no job reports to Mainstay yet")
    silent = [name for name, count in rows if not count]
    if silent:
        more = f" and {len(silent) - SHOWN} more" if len(silent) > SHOWN else ""
        return Finding(
            problem=f"Never heard of: {', '.join(silent[:SHOWN])}{more}.",
            fix="Let the job report once, or remove its heartbeat.",
            fix_url=instance.page("heartbeats"),
        )
    count = "One heartbeat" if len(rows) == 1 else f"All {len(rows)} heartbeats"
    return Passed(evidence=f"{count} reported.")
