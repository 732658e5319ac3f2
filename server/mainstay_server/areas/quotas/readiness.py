"""What going live asks about quotas: is there enough left of the plan."""

from datetime import datetime

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

from .service import plans, telling


@readiness_check("quotas.left", "Is there enough left of the plan?", weight=Weight.SHOULD)
def enough_is_left(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Ask that no meter of the organization is four fifths used up."""
    subject = plans.organization_subject(session, instance.organization_id)
    usage = telling.usage_of(session, subject, now=now)
    if all(meter.limit is None for meter in usage.meters):
        return NotApplicable(reason=f"The plan {usage.plan} has no limits.")
    if not usage.warnings:
        return Passed(evidence=f"No meter of the plan {usage.plan} is at 80 %.")
    return Finding(
        problem=usage.warnings[0],
        fix=f"Move to the plan {usage.upgrade}." if usage.upgrade else "Raise the plan's limits.",
        fix_url=instance.page("usage"),
    )
