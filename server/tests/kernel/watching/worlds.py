"""Something that is watched (a health check, by hand), and maintenance that somebody planned."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.watching import State, Told, begin, change_state
from sqlalchemy.orm import Session
from tests.world import a_project

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
H, D, U = State.HEALTHY, State.DEGRADED, State.UNHEALTHY
UNKNOWN, UNREACHABLE, PAUSED = State.UNKNOWN, State.UNREACHABLE, State.PAUSED


@dataclass(frozen=True, kw_only=True)
class Window:
    """A span of maintenance."""

    started_at: datetime
    ended_at: datetime


class Planned:
    """Maintenance that somebody planned for everything."""

    is_answered = True

    def __init__(self, *windows: Window) -> None:
        self.windows = windows

    def __call__(
        self,
        session: Session,
        instance_id: str,
        tags: Sequence[str],
        subject_id: str,
        *,
        since: datetime,
        until: datetime,
    ) -> list[Window]:
        """Those that overlap the range; of a moment, the one that it lies in."""
        return [w for w in self.windows if w.started_at <= until and w.ended_at > since]


def a_subject(
    session: Session, *, tell_after_seconds: int = 0, now: datetime = NOON
) -> HealthCheck:
    """Something of which nothing is known yet, heard of every minute when all is well."""
    instance = a_project(session, slug="harbour", number=1, environment="production", now=now)
    subject = HealthCheck(
        id=new_id(),
        organization_id=instance.organization_id,
        project_id=instance.project_id,
        instance_id=instance.id,
        name="lamp",
        tags=[],
        tell_after_seconds=tell_after_seconds,
        url="https://harbour.example/lamp",
        target="https://harbour.example/lamp",
        interval_seconds=60,
        timeout_seconds=10,
        degraded_after_ms=2000,
        created_at=now,
        next_at=now,
    )
    begin(session, subject, now=now)
    return subject


def turn(
    session: Session, subject: HealthCheck, *states: State, at: datetime, every: timedelta = MINUTE
) -> list[Told]:
    """Change its state again and again; what there was to tell."""
    told = (
        change_state(session, subject, state, at=at + n * every, reason=f"it is {state}")
        for n, state in enumerate(states)
    )
    return [one for one in told if one is not None]
