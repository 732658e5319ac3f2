"""Alice, Bob and Charlie before the area, with a real mail server behind it."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from mainstay_server.areas import email
from mainstay_server.areas.email.service.wishes import Span
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.events import run_waiting
from mainstay_server.kernel.mailing import SmtpSettings
from mainstay_server.kernel.settings import (
    ServerSettings,
    forget_settings,
    of,
    override_settings,
)
from tests.servers.smtp import ReceivedMail, SmtpServer, smtp
from tests.world import World

__all__ = ["smtp"]

ANN = "ann@example.com"
A_TASK = {"userName": "Ann", "locationName": "Floor 1", "status": "pass"}
A_MAIL: dict[str, Any] = {"to": ANN, "template": "task_finished", "data": A_TASK}
NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def world(client_for: Callable[..., World], smtp: SmtpServer) -> Iterator[World]:
    forget_settings()
    made = client_for(email.area)
    override_settings(
        SmtpSettings(smtp_host=smtp.host, smtp_port=smtp.port, smtp_from="app@ships.example")
    )
    override_settings(of(ServerSettings).model_copy(update={"base_url": "http://mainstay.test"}))
    yield made
    forget_settings()


def delivered(*, now: datetime | None = None) -> None:
    """Let every sender run that is due, until none is."""
    while run_waiting(now=now or utc_now()):
        pass


def arrived(smtp: SmtpServer, count: int) -> list[ReceivedMail]:
    """All that the mail server took, which is so much: whatever is delivered has arrived."""
    assert len(smtp.messages) == count
    return smtp.messages


def sent(world: World, **changes: Any) -> dict[str, Any]:
    """Bob sends a mail by the API; what was answered."""
    answer = world.bob.post("/api/emails", json={**A_MAIL, **changes})
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def seen(world: World, one: str) -> dict[str, Any]:
    """One mail as the API tells it."""
    found: dict[str, Any] = world.bob.get(f"/api/emails/{one}").json()
    return found


MONDAY_SPAN = Span(
    begins_on=date(2026, 3, 9), ends_before=date(2026, 3, 16), time_zone="Europe/Berlin"
)
