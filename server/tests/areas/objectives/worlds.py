"""Objectives as tests of this area set them, and outages as they are replayed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.objectives.models import Objective
from mainstay_server.areas.objectives.service import setting
from mainstay_server.areas.objectives.service.burning import Amount
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.watching import RecordedSpell, State
from mainstay_server.tenancy.subjects import find_project
from sqlalchemy.orm import Session

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
WANTED: Mapping[str, Any] = {
    "name": "Shop is up",
    "kind": "availability",
    "source": "watched",
    "environment": "production",
    "subject_id": "",
    "route": "",
    "threshold_ms": 0,
    "target_percent": 99.9,
    "period": "30d",
}


class Outages:
    """Time that is all good, but for some spans; known since a moment."""

    def __init__(self, known_since: datetime, *spans: tuple[datetime, datetime]) -> None:
        self.known_since = known_since
        self._spans = spans

    def between(self, since: datetime, until: datetime) -> Amount:
        since = max(since, self.known_since)
        bad = sum(
            max((min(until, end) - max(since, start)).total_seconds(), 0.0)
            for start, end in self._spans
        )
        return Amount(total=max((until - since).total_seconds(), 0.0), bad=bad)


def a_check(
    session: Session,
    instance: InstanceRef,
    spells: Sequence[tuple[State, datetime]],
    *,
    until: datetime | None = None,
) -> HealthCheck:
    """A health check that had these states from these moments on; the last one lasts."""
    state, since = spells[-1]
    check = HealthCheck(
        id=new_id(),
        **instance.ids,
        name="shop",
        kind="http",
        url="http://127.0.0.1:1/",
        target="127.0.0.1",
        config={},
        conditions=[],
        tags=[],
        interval_seconds=60,
        timeout_seconds=10,
        degraded_after_ms=2000,
        created_at=spells[0][1],
        next_at=NOON,
        state=state,
        state_since=since,
        watched_until=until or NOON + 365 * DAY,
    )
    session.add(check)
    ends: list[datetime | None] = [*(start for _, start in spells[1:]), None]
    for (each, start), end in zip(spells, ends, strict=True):
        session.add(
            RecordedSpell(
                id=new_id(),
                subject_id=check.id,
                instance_id=instance.id,
                state=each,
                started_at=start,
                ended_at=end,
            )
        )
    session.flush()
    return check


def an_objective(
    session: Session, instance: InstanceRef, *, now: datetime = NOON, **wanted: Any
) -> Objective:
    project = find_project(session, instance.project_slug)
    assert project is not None
    return setting.set_objective(session, project, {**WANTED, **wanted}, now=now)
