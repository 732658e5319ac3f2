"""A project with one instance, its health as events, and the outbox run by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from mainstay_server.areas import alerts
from mainstay_server.areas.alerts.models import (
    Alert,
    AlertChannel,
    AlertNotification,
    Change,
    Severity,
)
from mainstay_server.areas.alerts.schemas import Notice
from mainstay_server.areas.alerts.service import channels
from mainstay_server.areas.alerts.service.routing import flushing
from mainstay_server.contracts.errors import IssueOpened, IssueRegressed
from mainstay_server.contracts.health_checks import (
    HealthChanged,
    HealthCheckDegraded,
    HealthCheckRecovered,
    HealthCheckStopped,
    HealthCheckWentDown,
)
from mainstay_server.contracts.rate_limits import RateLimitExceeded
from mainstay_server.kernel import outbound
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import Event, install_reactions, run_waiting, said_events, say
from mainstay_server.kernel.subjects import InstanceRef
from tests.servers.http import http_receiver
from tests.servers.smtp import smtp
from tests.world import a_project

__all__ = ["http_receiver", "smtp"]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NOTICE = Notice(
    change=Change.OPENED,
    at=NOON,
    alert_id="alert",
    type="instance_down",
    severity="critical",
    title="inspections production is down",
    message="<b>It</b> answered 500.",
    resolution="",
    opened_at=NOON,
    resolved_at=None,
    supersedes="",
    instance_id="instance",
    environment="production",
    instance_url="https://inspections.example",
    project_slug="inspections",
    project_name="Inspections & more",
    url="https://mainstay.example/dashboard/projects/inspections/alerts",
)


@dataclass
class Harbour:
    """The project `inspections` with its instance `production`, and what happens to it."""

    instance: InstanceRef
    now: datetime = NOON
    heard: int = field(default=0)

    def later(self, span: timedelta) -> None:
        self.now += span

    def happens(self, *events: Event) -> None:
        """Say the events, and let every reaction and due sender run."""
        with transaction() as session:
            for event in events:
                say(session, event, now=self.now)
        self.deliver()

    def jobs_run(self) -> None:
        """Let the jobs tell what is due by now, and the outbox carry it."""
        flushing.tell_due(now=self.now)
        flushing.release_held(now=self.now)
        self.deliver()

    def deliver(self) -> int:
        return run_waiting(now=self.now)

    def goes_down(self) -> None:
        self.happens(self._health(HealthCheckWentDown, reason="It answered 500."))

    def check(self, name: str, kind: type[HealthChanged], **more: Any) -> None:
        """What is said of a further health check of the instance."""
        facts = self._facts("It answered 500.") | {"health_check_id": name, "name": name}
        self.happens(kind(**facts, **more))

    def degrades(self) -> None:
        self.happens(self._health(HealthCheckDegraded, reason="It took 3,100 ms."))

    def recovers(self, *, after: timedelta = 12 * MINUTE) -> None:
        event = HealthCheckRecovered(**self._facts("ok"), troubled_since=self.now - after)
        self.happens(event)

    def is_not_watched_any_more(self) -> None:
        self.happens(self._health(HealthCheckStopped, reason="the health check was paused"))

    def new_issue(self, name: str) -> IssueOpened:
        return IssueOpened(**self._issue(name))

    def regressed(self, name: str) -> IssueRegressed:
        return IssueRegressed(**self._issue(name))

    def refuses(self, times: int, *, address: str = "203.0.113.9") -> None:
        """Limits refused an address so often in the last ten minutes."""
        event = RateLimitExceeded(
            organization_id=self.instance.organization_id,
            project_id=self.instance.project_id,
            instance_id=self.instance.id,
            address=address,
            refused=times,
            key_ids=["key-1"],
            since=self.now - 10 * MINUTE,
        )
        self.happens(event)

    def channel(
        self,
        url: str = "",
        *,
        email: str = "",
        minimum: Severity = Severity.INFO,
        project_wide: bool = False,
    ) -> AlertChannel:
        about = (
            self.instance.organization_id,
            self.instance.project_id,
            None if project_wide else self.instance.id,
        )
        kind, config = ("email", {"email": email}) if email else ("webhook", {"webhookUrl": url})
        with transaction() as session:
            return channels.create_channel(
                session, about, kind, config, minimum_severity=minimum, now=self.now
            )

    def channel_of(self, kind: str, config: dict[str, str]) -> AlertChannel:
        """A channel of any kind, which hears of all."""
        about = (self.instance.organization_id, self.instance.project_id, self.instance.id)
        with transaction() as session:
            return channels.create_channel(session, about, kind, config, now=self.now)

    def alerts(self) -> list[Alert]:
        with reading() as session:
            return list(session.scalars(sa.select(Alert).order_by(Alert.opened_at, Alert.id)))

    def active(self) -> list[str]:
        return [alert.identity for alert in self.alerts() if alert.status == "active"]

    def notifications(self) -> list[AlertNotification]:
        with reading() as session:
            found = sa.select(AlertNotification).order_by(AlertNotification.id)
            return list(session.scalars(found))

    def reloaded(self, channel: AlertChannel) -> AlertChannel:
        with reading() as session:
            return session.get_one(AlertChannel, channel.id)

    def said(self) -> list[Event]:
        """The events said since the last call."""
        with reading() as session:
            found = said_events(session, after=self.heard)
        self.heard = max((position for position, _ in found), default=self.heard)
        return [event for _, event in found]

    def _health(self, kind: type[HealthChanged], *, reason: str) -> HealthChanged:
        return kind(**self._facts(reason))

    def _facts(self, reason: str) -> dict[str, Any]:
        return {
            "organization_id": self.instance.organization_id,
            "project_id": self.instance.project_id,
            "instance_id": self.instance.id,
            "health_check_id": "check",
            "name": "",
            "url": "https://inspections.example/health",
            "since": self.now,
            "reason": reason,
        }

    def _issue(self, name: str) -> dict[str, str]:
        return {
            "organization_id": self.instance.organization_id,
            "project_id": self.instance.project_id,
            "instance_id": self.instance.id,
            "issue_id": name,
            "title": f"KeyError: {name}",
            "culprit": "billing.invoice",
            "level": "error",
        }


@pytest.fixture
def harbour(database: None) -> Iterator[Harbour]:
    with a_harbour() as made:
        yield made


@contextmanager
def a_harbour() -> Iterator[Harbour]:
    """The harbour on whatever database is open."""
    install_reactions(alerts.area.reactions)
    outbound.open_outbound(allow_private=True)
    try:
        with transaction() as session:
            instance = a_project(session, url="https://inspections.example", now=NOON)
        yield Harbour(instance)
    finally:
        outbound.close_outbound()
        install_reactions(())
