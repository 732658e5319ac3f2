"""Asking now: by hand or from outside, beside the schedule and through the same rules."""

import asyncio

import sqlalchemy as sa

from mainstay_server.areas.health_checks.columns import HEALTH_RESULTS
from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.schemas.orders import Finished
from mainstay_server.areas.health_checks.settings import HealthCheckSettings
from mainstay_server.kernel import columns
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.problems import Conflict
from mainstay_server.kernel.settings import of

from .by_hand import a_place
from .evidence import keep_screenshots
from .probing import Clock, ask_all
from .recording import record_results, rows_of
from .turns import is_watched, orders_now
from .uplink import Uplink


def ask_now(check_id: str, *, clock: Clock) -> Finished:
    """Ask one check now, also a paused one, and record what it found; blocks until it is.

    No transaction is open while the app is waited for. Raises `Conflict` without a URL, and
    `TooManyRequests` when too many are asked by hand at the moment.
    """
    with a_place():
        found = _ask_and_record(HealthCheck.id == check_id, clock=clock)
    if not found:
        raise Conflict("There is nothing to ask: set the instance's URL first.")
    return found[0]


def ask_everything_now(*, clock: Clock) -> int:
    """Ask every check that is not paused, once, now; returns how many. Blocks until all are."""
    return len(_ask_and_record(is_watched(), clock=clock))


def _ask_and_record(condition: sa.ColumnElement[bool], *, clock: Clock) -> list[Finished]:
    settings = of(HealthCheckSettings)
    with reading() as session:
        orders = orders_now(session, condition, now=clock())
    if not orders:
        return []
    found = asyncio.run(
        ask_all(
            orders,
            clock=clock,
            confirm_seconds=settings.health_checks_confirm_seconds,
            at_once=settings.health_checks_at_once,
            uplink=Uplink(settings.uplink_targets),
            per_host=settings.health_checks_per_host,
        )
    )
    with transaction() as session:
        counted = record_results(session, found, grace_seconds=settings.health_checks_grace_seconds)
    if counted:
        columns.append_blocking(HEALTH_RESULTS, rows_of(counted), rows=len(counted))
        keep_screenshots(counted)
    return found
