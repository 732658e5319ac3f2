"""Whether the watch keeps up, as the server's own health and metrics tell it."""

from typing import Literal

from mainstay_server.areas.health_checks.settings import HealthCheckSettings
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.vitals import Figure, Vital, Vitals

from .pulse import pulse

DEGRADED_PART = 4  # of the lag that is allowed


def read_scheduler() -> Vitals | None:
    """Healthy while questions begin in time; unhealthy beyond the lag that the setting allows."""
    reading = pulse.read()
    if reading is None:
        return None
    most = of(HealthCheckSettings).health_checks_most_lag_seconds
    status: Literal["healthy", "degraded", "unhealthy"] = "healthy"
    if reading.lag_seconds > most:
        status = "unhealthy"
    elif reading.lag_seconds > most / DEGRADED_PART:
        status = "degraded"
    lag = round(reading.lag_seconds, 3)
    return Vitals(
        status=status,
        usage={"lagSeconds": lag},
        figures=(
            Figure(
                name="mainstay_scheduler_lag_seconds",
                about="How late health checks begin: p99 of two minutes, or a longer silence.",
                value=lag,
            ),
            Figure(
                name="mainstay_scheduler_silent_seconds",
                about="Since the watch last exchanged with the database.",
                value=round(reading.silent_seconds, 3),
            ),
            Figure(
                name="mainstay_health_checks_begun",
                about="Health checks that were begun here.",
                value=reading.begun,
                kind="counter",
            ),
            Figure(
                name="mainstay_health_checks_recorded",
                about="Results of health checks that were recorded here.",
                value=reading.recorded,
                kind="counter",
            ),
            Figure(
                name="mainstay_scheduler_stalls",
                about="How often the watch stood still for ten seconds or more.",
                value=reading.stalls,
                kind="counter",
            ),
        ),
    )


scheduler = Vital(name="scheduler", read=read_scheduler)
