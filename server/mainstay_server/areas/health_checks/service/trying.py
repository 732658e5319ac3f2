"""Trying out what is no check yet, or would change one: asked once, kept nowhere."""

import asyncio
from datetime import datetime

from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.providers import PROVIDERS
from mainstay_server.areas.health_checks.schemas.bodies import (
    HealthCheckChanges,
    NewCheck,
    NewHealthCheck,
)
from mainstay_server.areas.health_checks.schemas.orders import Finished, ProbeOrder
from mainstay_server.kernel.watching import State

from . import configs, judging
from .by_hand import a_place
from .probing import Clock, ask_once_confirmed


def order_of_new(wanted: NewCheck, *, instance_id: str, now: datetime) -> ProbeOrder:
    """How a new check would be asked; raises `Invalid` for a config that does not do."""
    url = wanted.url if isinstance(wanted, NewHealthCheck) else None
    config = configs.read_config(wanted.kind, wanted.config, url=url)
    would_be = HealthCheck(
        instance_id=instance_id, kind=wanted.kind, url=url or "", config=configs.kept(config)
    )
    conditions = judging.checked_conditions(wanted.kind, wanted.conditions)
    return _order(would_be, wanted.timeout_seconds, wanted.degraded_after_ms, conditions, now=now)


def order_of_changed(
    check: HealthCheck, changes: HealthCheckChanges, *, now: datetime
) -> ProbeOrder:
    """How a check would be asked after a change; its kept secrets go where they went before."""
    config = configs.changed_config(check, changes.config, url=changes.url)
    would_be = HealthCheck(
        id=check.id,
        instance_id=check.instance_id,
        kind=check.kind,
        url=check.url if changes.url is None else changes.url,
        config=check.config if config is None else config,
    )
    conditions = changes.conditions if changes.conditions is not None else check.conditions
    return _order(
        would_be,
        changes.timeout_seconds or check.timeout_seconds,
        changes.degraded_after_ms or check.degraded_after_ms,
        judging.checked_conditions(check.kind, conditions),
        now=now,
    )


def try_out(order: ProbeOrder, *, clock: Clock) -> Finished:
    """Ask once, keep nothing; blocks until it is answered.

    Raises `TooManyRequests` when too many are asked by hand at the moment.
    """
    with a_place():
        return asyncio.run(ask_once_confirmed(order, clock=clock, confirm_seconds=0))


def _order(
    would_be: HealthCheck,
    timeout_seconds: int,
    degraded_after_ms: int,
    conditions: list[str],
    *,
    now: datetime,
) -> ProbeOrder:
    return ProbeOrder(
        check_id=would_be.id or "",
        instance_id=would_be.instance_id,
        kind=would_be.kind,
        url=would_be.url,
        target=configs.target_of(would_be),
        host=PROVIDERS[would_be.kind].host_of(configs.config_of(would_be)),
        config=configs.opened(would_be),
        conditions=tuple(conditions),
        interval_seconds=60,
        timeout_seconds=timeout_seconds,
        degraded_after_ms=degraded_after_ms,
        # As if it were down already: a failure is told at once, and not asked again first.
        state=State.UNHEALTHY,
        at=now,
    )
