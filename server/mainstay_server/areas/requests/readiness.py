"""What going live asks about requests: are they measured, and are they mostly answered."""

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

from . import columns, service

DAY = timedelta(days=1)
MOST_ERROR_PERCENT = 1.0
LONGEST_P95_MS = 300.0
ENOUGH_REQUESTS = 20
TOO_FEW = NotApplicable(reason=f"Fewer than {ENOUGH_REQUESTS} requests in the last day.")


@readiness_check("requests.measured", "Are its requests measured?")
def requests_are_measured(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Ask whether the SDK reported a request within a day."""
    found = columns.newest(instance.id, since=now - DAY, until=now)
    if found["total"]:
        minutes = int((now - found["newest_at"]).total_seconds() // 60)
        return Passed(evidence=f"{found['total']:,} in the last day, newest {minutes} min ago")
    return Finding(
        problem="No request was reported in the last day.",
        fix="Add mainstay.init(…) and the middleware to the app.",
        fix_url=instance.page("start"),
    )


@readiness_check("requests.answered", "Does it answer without errors?")
def requests_are_answered(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Ask whether fewer than one request in a hundred failed over a day (REQUIREMENTS N9)."""
    figures = service.summarize(instance.id, hours=24, now=now)
    if figures is None or figures.total_requests < ENOUGH_REQUESTS:
        return TOO_FEW
    if figures.error_rate < MOST_ERROR_PERCENT:
        return Passed(evidence=f"{figures.error_rate:.2f} % of {figures.total_requests:,} failed")
    return Finding(
        problem=f"{figures.error_rate:.2f} % of the last day's requests failed.",
        fix="Open the errors of this instance and resolve the most frequent one.",
        fix_url=instance.page("errors"),
    )


@readiness_check("requests.arrive", "Does every measured request arrive?", weight=Weight.SHOULD)
def requests_arrive(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Ask whether the app told of requests of the last day that it could not deliver."""
    if not columns.newest(instance.id, since=now - DAY, until=now)["total"]:
        return NotApplicable(reason="No request was reported in the last day.")
    lost = columns.count_lost(instance.id, since=now - DAY, until=now)
    if not lost:
        return Passed(evidence="The app told of none that it could not deliver.")
    return Finding(
        problem=f"{lost:,} requests of the last day were measured and never arrived.",
        fix="See that the app reaches this server, and raise max_queue in mainstay.init(…).",
        fix_url=instance.page("monitoring"),
    )


@readiness_check("requests.fast", "Is it fast for nearly everybody?", weight=Weight.SHOULD)
def requests_are_fast(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Ask whether the 95th percentile over a day is below 300 ms (REQUIREMENTS N9)."""
    figures = service.summarize(instance.id, hours=24, now=now)
    if figures is None or figures.total_requests < ENOUGH_REQUESTS:
        return TOO_FEW
    if figures.p95_latency_ms < LONGEST_P95_MS:
        return Passed(evidence=f"95 % within {figures.p95_latency_ms:.0f} ms")
    return Finding(
        problem=f"One request in twenty takes longer than {figures.p95_latency_ms:.0f} ms.",
        fix="Look at the slowest of the busiest endpoints on the monitoring page.",
        fix_url=instance.page("monitoring"),
    )
