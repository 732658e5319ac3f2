"""What the scorecard asks of health checks, answered from live evidence."""

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

from .models import HealthCheck, HealthState
from .service import checks

LONGEST_INTERVAL_SECONDS = 300
PRODUCTION = "production"
NO_CHECK = NotApplicable(reason="nothing is watched yet")


@readiness_check("health_checks.watched", "Is the app watched from outside?")
def app_is_watched(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Whether a health check asks the instance."""
    check = _watched(session, instance)
    if check is None:
        return Finding(
            problem="Nobody would notice if the app stopped answering.",
            fix="Set the URL of the instance; it is then asked every five minutes.",
            fix_url=instance.page("monitoring"),
        )
    return Passed(evidence=f"{check.target} is asked every {check.interval_seconds} s.")


@readiness_check("health_checks.healthy", "Did the app answer well when last asked?")
def app_answers(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Whether the latest result is good and not older than the interval explains."""
    check = _watched(session, instance)
    if check is None:
        return NO_CHECK
    if check.state not in (HealthState.HEALTHY, HealthState.DEGRADED):
        return Finding(
            problem=f"The health check is {check.state}: {check.state_reason or 'no result yet'}.",
            fix="Look at the newest results, make the app answer, then check now.",
            fix_url=instance.page("monitoring"),
        )
    allowed = timedelta(seconds=2 * check.interval_seconds + check.timeout_seconds)
    if check.last_result_at is None or now - check.last_result_at > allowed:
        return Finding(
            problem="The latest result is older than the interval of the check.",
            fix="Run a process with the probe role: `mainstay serve --role probe`.",
            fix_url=instance.page("monitoring"),
        )
    took = f" in {check.last_response_ms:.0f} ms" if check.last_response_ms is not None else ""
    return Passed(evidence=f"It answered{took} at {check.last_result_at:%Y-%m-%d %H:%M:%S} UTC.")


@readiness_check(
    "health_checks.often_enough", "Is it asked at least every five minutes?", weight=Weight.SHOULD
)
def asked_often_enough(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Whether an outage would be noticed within five minutes."""
    check = _watched(session, instance)
    if check is None:
        return NO_CHECK
    if check.interval_seconds > LONGEST_INTERVAL_SECONDS:
        return Finding(
            problem=f"An outage could last {check.interval_seconds} s before anybody is told.",
            fix="Set the interval of the instance to 300 seconds or less.",
            fix_url=instance.page("monitoring"),
        )
    return Passed(evidence=f"It is asked every {check.interval_seconds} s.")


@readiness_check("health_checks.tls", "Does production answer over TLS?")
def production_uses_tls(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Whether production was reached over https with a trusted certificate when last asked."""
    check = _watched(session, instance)
    if check is None:
        return NO_CHECK
    if instance.environment != PRODUCTION:
        return NotApplicable(reason=f"{instance.environment} is not {PRODUCTION}")
    if not check.url.startswith("https://"):
        return Finding(
            problem="Production answers over plain http: anybody on the way can read it.",
            fix="Serve production over https and set its https:// URL.",
            fix_url=instance.page("monitoring"),
        )
    if check.state not in (HealthState.HEALTHY, HealthState.DEGRADED):
        return Finding(
            problem="The certificate could not be verified: the app does not answer well.",
            fix="Make the app answer over https, then check now.",
            fix_url=instance.page("monitoring"),
        )
    return Passed(evidence="It answered over https with a certificate that is trusted.")


def _watched(session: Session, instance: InstanceRef) -> HealthCheck | None:
    check = checks.find_main_check(session, instance.id)
    return check if check is not None and check.is_watched else None
