"""While somebody works on an app nobody is woken; what outlasts the work is told."""

from typing import Any

import pytest
from tests.journeys.running import Mainstay, running_mainstay
from tests.servers.http import running_http
from tests.waiting import eventually

pytestmark = pytest.mark.slow

INTERVAL_SECONDS = 5
UNHURRIED = {"timeoutSeconds": INTERVAL_SECONDS, "degradedAfterMs": INTERVAL_SECONDS * 1000}


def recent(mainstay: Mainstay) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = mainstay.get(f"/api/instances/{mainstay.instance_id}/health")[
        "recentChecks"
    ]
    return found


def is_seen(mainstay: Mainstay, status: str) -> None:
    """Return once the newest three results say so: by then the state has followed."""
    eventually(lambda: [each["status"] for each in recent(mainstay)[:3]] == [status] * 3)


def test_down_then_maintenance_then_up_is_told_and_trouble_that_outlasts_it_too() -> None:
    with (
        running_http() as app,
        running_http() as receiver,
        running_mainstay() as mainstay,
    ):
        instance = f"/api/instances/{mainstay.instance_id}"
        hook = {"type": "webhook", "config": {"webhookUrl": receiver.url + "/hook"}}
        assert mainstay.call("POST", f"{instance}/alert-channels", json=hook).status_code == 201
        asked = {"url": app.url, "intervalSeconds": INTERVAL_SECONDS, **UNHURRIED}
        assert mainstay.call("PATCH", instance, json=asked).status_code == 200
        is_seen(mainstay, "healthy")
        app.stop()
        eventually(lambda: len(receiver.requests) == 1)

        projects = mainstay.get("/api/projects")["projects"]
        project = f"/api/projects/{projects[0]['slug']}"
        begun = mainstay.call("POST", f"{project}/maintenance", json={"name": "New disks"})
        assert begun.status_code == 201, begun.text
        window = begun.json()["nextWindow"]
        assert window["status"] == "active"

        app.start()
        eventually(lambda: len(receiver.requests) == 2)  # it is well again: told all the same
        is_seen(mainstay, "healthy")
        app.stop()
        is_seen(mainstay, "unhealthy")
        assert len(receiver.requests) == 2
        uptime = mainstay.get(f"{instance}/uptime")
        assert any(each["state"] == "unhealthy" for each in uptime["intervals"])

        windows = f"{project}/maintenance-windows/{window['id']}"
        assert mainstay.call("POST", f"{windows}/end").json()["status"] == "ended"
        eventually(lambda: len(receiver.requests) == 3)  # it is still down
