"""What going live asks about limits: does one hold for everything, and is it enforced."""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.kernel.readiness import Finding, Outcome, Passed, Weight, readiness_check
from mainstay_server.kernel.subjects import InstanceRef

from .schemas import EVERYTHING
from .service import policies


@readiness_check("rate_limits.everywhere", "Does a limit hold for every endpoint?")
def every_endpoint_is_limited(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Ask for a limit that is switched on for all methods, paths and plans."""
    for policy in policies.list_policies(session, instance.id):
        everywhere = EVERYTHING in policy.paths and not policy.methods and not policy.plans
        if everywhere and policy.enabled and not policy.simulate:
            return Passed(
                evidence=f"{policy.name}: {policy.quota:,} in {policy.window_seconds:,} s,"
                f" by {policy.by}."
            )
    return Finding(
        problem="Some endpoints may be called as often as anybody likes.",
        fix="Switch on the default limit, and let it refuse.",
        fix_url=instance.page("rate-limits"),
    )


@readiness_check(
    "rate_limits.enforced", "Does every limit refuse what it should?", weight=Weight.SHOULD
)
def no_limit_only_simulates(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Ask that nobody forgot a limit in simulation."""
    found = policies.list_policies(session, instance.id)
    simulated = [policy.name for policy in found if policy.enabled and policy.simulate]
    if simulated:
        return Finding(
            problem=f"Only simulated: {', '.join(simulated)}.",
            fix="Look whom it would hold back, then let it refuse.",
            fix_url=instance.page("rate-limits"),
        )
    refusing = sum(policy.enabled for policy in found)
    return Passed(evidence=f"{refusing} {'limit refuses' if refusing == 1 else 'limits refuse'}.")
