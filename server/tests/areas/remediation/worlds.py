"""A project whose alerts are said as the area alerts says them, and what is done about them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from mainstay_server.areas.remediation import area
from mainstay_server.areas.remediation.models import RemediationAction, RemediationRun
from mainstay_server.areas.remediation.schemas import ActionBody
from mainstay_server.areas.remediation.service import actions, runs
from mainstay_server.contracts.alerts import AlertOpened, AlertResolved
from mainstay_server.contracts.remediation import RemediationChanged
from mainstay_server.kernel.database import new_id, reading, transaction
from mainstay_server.kernel.events import Event, install_reactions, run_waiting, said_events, say
from mainstay_server.tenancy.subjects import find_project
from tests.world import a_project

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
DAY = timedelta(days=1)


class Harbour:
    """Virtual time: `later` moves it, and everything that is due happens on the way."""

    def __init__(self) -> None:
        install_reactions(area.reactions)
        self.now = NOON
        with transaction() as session:
            self.instance = a_project(session, now=NOON)

    def allow(self, **wanted: Any) -> RemediationAction:
        """Allow an action; by default an automatic webhook for what is down."""
        values: dict[str, Any] = {
            "name": "restart-shop",
            "kind": "webhook",
            "url": "http://127.0.0.1:9/restart",
            "matchers": 'alertname="instance_down"',
            "automatic": True,
        } | wanted
        with transaction() as session:
            project = find_project(session, self.instance.project_slug)
            assert project is not None
            return actions.allow_action(session, project, ActionBody(**values), now=self.now)

    def hear(self, *events: Event) -> None:
        """Say them, and let everything run that is due."""
        with transaction() as session:
            for event in events:
                say(session, event, now=self.now)
        run_waiting(now=self.now)

    def alert(self, *, kind: str = "instance_down") -> str:
        """An alert opens now; returns its id."""
        alert_id = new_id()
        self.hear(self._opened(alert_id, kind))
        return alert_id

    def storm(self, count: int) -> None:
        """So many alerts open at one moment."""
        self.hear(*(self._opened(new_id(), "instance_down") for _ in range(count)))

    def over(self, alert_id: str, *, superseded_by: str = "") -> None:
        """An alert is over now, as it may be since another took its place."""
        facts = self._facts(alert_id, "instance_down")
        self.hear(AlertResolved(**facts, resolved_at=self.now, superseded_by=superseded_by))

    def later(self, span: timedelta, *, step: timedelta = 5 * SECOND) -> None:
        """Time passes, and the job has its turns."""
        until = self.now + span
        while self.now < until:
            self.now += step
            with transaction() as session:
                runs.tend(session, now=self.now)
            run_waiting(now=self.now)

    def runs(self) -> Sequence[RemediationRun]:
        """All runs, the oldest first."""
        with reading() as session:
            return session.scalars(sa.select(RemediationRun).order_by(RemediationRun.id)).all()

    def said(self) -> list[RemediationChanged]:
        """What was said of runs, in order."""
        with reading() as session:
            found = [event for _, event in said_events(session)]
        return [event for event in found if isinstance(event, RemediationChanged)]

    def _opened(self, alert_id: str, kind: str) -> AlertOpened:
        return AlertOpened(
            **self._facts(alert_id, kind),
            message="It answered 500.",
            opened_at=self.now,
            labels={"alertname": kind, "severity": "critical"},
        )

    def _facts(self, alert_id: str, kind: str) -> dict[str, Any]:
        return {
            **self.instance.ids,
            "alert_id": alert_id,
            "type": kind,
            "severity": "critical",
            "title": "shop is down",
        }
