"""What going live asks about the guard: is the API guarded, and not only in simulation."""

from datetime import datetime, timedelta

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

from . import columns
from .models import Mode
from .service import settings

DAY = timedelta(days=1)


@readiness_check("guard.guarded", "Is its API guarded?", weight=Weight.SHOULD)
def api_is_guarded(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Ask whether requests passed the guard within a day, in the app or at its proxy."""
    found = columns.newest(instance.id, since=now - DAY)
    if found["total"]:
        minutes = int((now - found["newest_at"]).total_seconds() // 60)
        return Passed(
            evidence=f"{found['total']:,} requests decided in a day, newest {minutes} min ago"
        )
    return Finding(
        problem="No request passed the guard in the last day.",
        fix="Wrap the app in mainstay.Guard, or have the proxy ask /api/guard/check.",
        fix_url=instance.page("guard"),
    )


@readiness_check("guard.enforced", "Does the guard refuse what it should?")
def guard_is_enforced(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Ask that nobody forgot the guard in simulation."""
    if settings.find_settings(session, instance.id).mode != Mode.SIMULATE:
        return Passed(evidence="Its policy is enforced.")
    if not columns.newest(instance.id, since=now - DAY)["total"]:
        return NotApplicable(reason="Nothing passed the guard in the last day.")
    return Finding(
        problem="The guard only simulates: it lets everything pass.",
        fix="Switch its mode to enforce.",
        fix_url=instance.page("guard"),
    )
