"""With no SDK at all: a URL is enough to know when it breaks, and to be told once."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.journeys.conftest import Stores
from tests.journeys.running import Mainstay, running_mainstay
from tests.servers.http import running_http
from tests.servers.smtp import running_smtp
from tests.waiting import CalmClock, eventually

pytestmark = pytest.mark.slow

INTERVAL_SECONDS = 5
UNHURRIED = {"timeoutSeconds": INTERVAL_SECONDS, "degradedAfterMs": INTERVAL_SECONDS * 1000}
METRICS = {
    "instanceId",
    "avgResponseTime",
    "p95ResponseTime",
    "p99ResponseTime",
    "errorRate",
    "uptime",
    "lastCheckAt",
}


def health(mainstay: Mainstay) -> dict[str, Any]:
    found: dict[str, Any] = mainstay.get(f"/api/instances/{mainstay.instance_id}/health")
    return found


def last_status(mainstay: Mainstay) -> object:
    recent = health(mainstay)["recentChecks"]
    assert isinstance(recent, list)
    return recent[0]["status"] if recent else None


def test_an_outage_is_noticed_within_an_interval_and_told_once_each_way(stores: Stores) -> None:
    with (
        running_http() as app,
        running_http() as receiver,
        running_smtp() as mail,
        running_mainstay(
            {
                **stores(),
                "MAINSTAY_SMTP_HOST": "127.0.0.1",
                "MAINSTAY_SMTP_PORT": str(mail.port),
                "MAINSTAY_SMTP_STARTTLS": "false",
                "MAINSTAY_SMTP_FROM": "mainstay@ships.example",
            }
        ) as mainstay,
    ):
        channels = f"/api/instances/{mainstay.instance_id}/alert-channels"
        for body in (
            {"type": "webhook", "config": {"webhookUrl": receiver.url + "/hook"}},
            {"type": "email", "config": {"email": "oncall@ships.example"}},
        ):
            assert mainstay.call("POST", channels, json=body).status_code == 201

        changed = mainstay.call(
            "PATCH",
            f"/api/instances/{mainstay.instance_id}",
            json={"url": app.url, "intervalSeconds": INTERVAL_SECONDS, **UNHURRIED},
        )
        assert changed.status_code == 200, changed.text
        assert_noticed(mainstay, "healthy")

        app.stop()
        assert_noticed(mainstay, "unhealthy")
        eventually(lambda: len(receiver.requests) == 1)
        eventually(lambda: len(mail.messages) == 1)

        app.start()
        assert_noticed(mainstay, "healthy")
        eventually(lambda: len(receiver.requests) == 2)
        eventually(lambda: len(mail.messages) == 2)

        eventually(lambda: len(health(mainstay)["recentChecks"]) > 5)
        told = [json.loads(request.body) for request in receiver.requests]
        assert [message["type"] for message in told] == ["alert.opened", "alert.resolved"]
        assert len(mail.messages) == 2
        keys = [request.headers["idempotency-key"] for request in receiver.requests]
        assert len(set(keys)) == 2

        asked_at = datetime.now(UTC)
        answer = health(mainstay)
        answered_at = datetime.now(UTC)
        metrics = answer["metrics"]
        assert isinstance(metrics, dict)
        assert set(metrics) == METRICS
        assert set(answer) == {"metrics", "recentChecks"}
        for check in answer["recentChecks"]:
            wanted = {"instanceId", "status", "responseTimeMs", "timestamp"}
            assert set(check) - {"errorMessage"} == wanted
        uptime = metrics["uptime"]
        assert isinstance(uptime, float | int)
        assert 0 < uptime < 100
        least = uptime_of(answer["recentChecks"], until=asked_at)
        most = uptime_of(answer["recentChecks"], until=answered_at)
        assert least - 3 < uptime < most + 3


def assert_noticed(mainstay: Mainstay, status: str) -> None:
    """It is known within an interval, and the three seconds that asking twice may take."""
    eventually(
        lambda: last_status(mainstay) == status,
        within_seconds=INTERVAL_SECONDS + 3,
        calm=CalmClock(),
    )


def uptime_of(checks: list[dict[str, str]], *, until: datetime) -> float:
    """What the checks say: each one's state holds from its moment to the next one's."""
    oldest_first = sorted((datetime.fromisoformat(c["timestamp"]), c["status"]) for c in checks)
    ends = [at for at, _ in oldest_first[1:]] + [until]
    down = sum(
        (end - at).total_seconds()
        for (at, status), end in zip(oldest_first, ends, strict=True)
        if status == "unhealthy"
    )
    return 100 * (1 - down / (until - oldest_first[0][0]).total_seconds())
