"""Small worlds for the tests of this area: an instance to watch, results, and a running watch."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from mainstay_server.areas.health_checks.models import HealthCheck, HealthState
from mainstay_server.areas.health_checks.providers import PROVIDERS
from mainstay_server.areas.health_checks.schemas.orders import (
    Fact,
    Finished,
    ProbeOrder,
    ProbeResult,
)
from mainstay_server.areas.health_checks.service import checks, configs
from mainstay_server.areas.health_checks.service.judging import judged
from mainstay_server.areas.health_checks.service.watching import Watch
from mainstay_server.areas.health_checks.settings import HealthCheckSettings
from mainstay_server.contracts.tenancy import InstanceChanged
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.tenancy.models import Instance, Project
from sqlalchemy.orm import Session
from tests.waiting import PATIENCE_SECONDS
from tests.world import a_project

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
GRACE = 15.0


def an_instance(session: Session, *, number: int = 1, environment: str = "production") -> Instance:
    """An instance of a project of its own, without a URL."""
    made = a_project(
        session, slug=f"inspections-{number}", number=number, environment=environment, now=NOON
    )
    return session.get_one(Instance, made.id)


def url_set(
    session: Session,
    instance: Instance,
    url: str,
    *,
    interval_seconds: int = 60,
    timeout_seconds: int = 10,
    degraded_after_ms: int = 2000,
) -> InstanceChanged:
    """What tenancy says when somebody sets an instance's URL."""
    project = session.get_one(Project, instance.project_id)
    return InstanceChanged(
        organization_id=project.organization_id,
        project_id=project.id,
        instance_id=instance.id,
        environment=instance.environment,
        health_url=url,
        interval_seconds=interval_seconds,
        timeout_seconds=timeout_seconds,
        degraded_after_ms=degraded_after_ms,
    )


def a_check(
    session: Session,
    url: str = "https://shop.example/health",
    *,
    number: int = 1,
    now: datetime = NOON,
    interval_seconds: int = 60,
    timeout_seconds: int = 10,
    degraded_after_ms: int = 2000,
) -> HealthCheck:
    """The check that follows a new instance, asked every minute unless said otherwise."""
    instance = an_instance(session, number=number)
    event = url_set(
        session,
        instance,
        url,
        interval_seconds=interval_seconds,
        timeout_seconds=timeout_seconds,
        degraded_after_ms=degraded_after_ms,
    )
    checks.follow_instance(session, event, now=now)
    found = checks.find_main_check(session, instance.id)
    assert found is not None
    return found


def finished(
    check: HealthCheck,
    state: HealthState,
    *,
    at: datetime,
    fence: int | None = None,
    took_ms: float = 80.0,
    facts: Mapping[str, Fact] | None = None,
) -> Finished:
    """A turn that was asked at a moment and found a state."""
    reasons = {HealthState.UNHEALTHY: "answered 503", HealthState.DEGRADED: "slow"}
    codes = {HealthState.UNHEALTHY: 503}
    return Finished(
        order=ProbeOrder(
            check_id=check.id,
            instance_id=check.instance_id,
            kind="http",
            url=check.url,
            target=check.target,
            config=configs.opened(check),
            interval_seconds=check.interval_seconds,
            timeout_seconds=check.timeout_seconds,
            degraded_after_ms=check.degraded_after_ms,
            state=HealthState(check.state),
            at=at,
            fence=fence,
        ),
        at=at,
        finished_at=at + timedelta(milliseconds=took_ms),
        result=ProbeResult(
            state=state,
            response_ms=took_ms,
            status_code=codes.get(state, 200),
            reason=reasons.get(state, ""),
            facts=facts or {},
        ),
    )


def ask(
    kind: str,
    config: Mapping[str, Any],
    *,
    url: str = "",
    timeout_seconds: int = 60,
    degraded_after_ms: int = 60_000,
    conditions: Sequence[str] = (),
) -> ProbeResult:
    """What one try of a check of this kind finds, judged by its conditions."""
    order = ProbeOrder(
        check_id="check",
        instance_id="instance",
        kind=kind,
        url=url,
        config=config,
        conditions=tuple(conditions),
        interval_seconds=60,
        timeout_seconds=timeout_seconds,
        degraded_after_ms=degraded_after_ms,
        state=HealthState.HEALTHY,
        at=NOON,
    )
    return judged(order, asyncio.run(PROVIDERS[kind].ask(order)), now=utc_now())


SETTINGS = HealthCheckSettings(health_checks_confirm_seconds=0.1)
NOTE_CLAIMS = (
    "CREATE TABLE claims (check_id TEXT, turn TEXT)",
    """CREATE TRIGGER note_claim AFTER UPDATE ON health_checks WHEN NEW.fence > OLD.fence
    BEGIN INSERT INTO claims VALUES (OLD.id, OLD.next_at); END""",
)


def note_claims() -> None:
    """From now on, let the database note every claim of a turn, and which turn it was."""
    with transaction() as session:
        for statement in NOTE_CLAIMS:
            session.execute(sa.text(statement))


def claims() -> list[tuple[str, datetime]]:
    """The check and the planned moment of every turn that was claimed, in that order."""
    with reading() as session:
        noted = session.execute(sa.text("SELECT check_id, turn FROM claims ORDER BY rowid"))
        return [(id_, datetime.fromisoformat(turn).replace(tzinfo=UTC)) for id_, turn in noted]


async def watch_until(is_enough: Callable[[], bool], *, watches: int = 1) -> None:
    """Run the watch, really, until enough has happened; fails when it never does."""
    stop = asyncio.Event()
    running = [
        asyncio.create_task(Watch(SETTINGS, clock=utc_now).run(stop)) for _ in range(watches)
    ]
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await asyncio.to_thread(is_enough):
                for task in running:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.05)
    finally:
        stop.set()
        await asyncio.gather(*running)
