"""The outgoing heartbeat: somebody else is told that the watch keeps up, as long as it does.

Whoever watches everything is watched by nobody. So another Mainstay, a Healthchecks, any service
that misses a ping is pinged; when this process is stopped, hangs or lags, no ping goes out.
"""

import asyncio
import logging
from contextlib import suppress

from mainstay_server.areas.health_checks.settings import HealthCheckSettings
from mainstay_server.kernel import outbound
from mainstay_server.kernel.area import StopSignal
from mainstay_server.kernel.outbound import OutboundError

from .pulse import Pulse

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 10.0
FIRST_FAILURE = 400


async def beat(settings: HealthCheckSettings, pulse: Pulse, stop: StopSignal) -> None:
    """Ping the URL of the settings at every interval in which the watch keeps up, until `stop`."""
    url = settings.health_checks_heartbeat_url.get_secret_value()
    while url and not stop.is_set():
        reading = pulse.read()
        if reading is None or reading.lag_seconds > settings.health_checks_most_lag_seconds:
            log.warning("health checks: no heartbeat goes out, since the watch does not keep up")
        else:
            await _ping(url)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), settings.health_checks_heartbeat_seconds)
    await stop.wait()


async def _ping(url: str) -> None:
    """One GET; whatever comes of it, the next one is due in its time. The URL is a secret."""
    try:
        answer = await outbound.fetch(
            "GET", url, timeout_seconds=PATIENCE_SECONDS, follow_redirects=True, limited=False
        )
    except OutboundError as error:
        log.warning("health checks: the heartbeat did not arrive: %s", error.kind)
        return
    if answer.status >= FIRST_FAILURE:
        log.warning("health checks: the heartbeat was answered with %d", answer.status)
