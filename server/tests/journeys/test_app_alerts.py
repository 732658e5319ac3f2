"""An app says itself that something needs people: from one line of the SDK to the receiver."""

import json
import subprocess
import sys

import pytest
from tests.journeys.running import PROJECT, running_mainstay
from tests.servers.http import running_http
from tests.waiting import eventually

pytestmark = pytest.mark.slow

APP = """
import mainstay, sys
mainstay.init(sys.argv[1], release="inspections@1.4.2")
for _ in range(3):
    assert mainstay.send_alert("fatal", "Payments are refused", "503", {"provider": "acme"})
assert mainstay.flush(60)
"""


def test_an_alert_of_an_app_is_stored_told_and_counted() -> None:
    with running_mainstay() as server, running_http() as receiver:
        instance = server.get(f"/api/projects/{PROJECT}")["instances"][0]["id"]
        hook = {"type": "webhook", "config": {"webhookUrl": receiver.url}}
        server.call("POST", f"/api/instances/{instance}/alert-channels", json=hook)

        dsn = server.project["dsn"]
        subprocess.run([sys.executable, "-c", APP, dsn], check=True, timeout=120)

        (alert,) = server.get(f"/api/instances/{instance}/alerts")["alerts"]
        assert (alert["type"], alert["severity"], alert["count"]) == ("app_alert", "critical", 3)
        eventually(lambda: len(receiver.requests) == 1)
        told = json.loads(receiver.requests[0].body)
        assert told["alert"]["title"] == "inspections production: Payments are refused"
