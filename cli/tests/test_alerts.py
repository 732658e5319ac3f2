"""`mainstay alerts` as people and scripts use it: the real program against a real server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.journeys.running import PROJECT, TOKEN, Mainstay, running_mainstay

pytestmark = pytest.mark.slow

PROGRAM = Path(sys.executable).parent / "mainstay"
PATIENCE_SECONDS = 120


@pytest.fixture(scope="module")
def server() -> Iterator[Mainstay]:
    with running_mainstay() as started:
        yield started


def alerts(server: Mainstay, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `mainstay alerts …` about the project's production."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAINSTAY_", "_MAINSTAY"))}
    told = {"MAINSTAY_URL": server.url, "MAINSTAY_TOKEN": TOKEN}
    return subprocess.run(
        [PROGRAM, "alerts", *arguments, "--project", PROJECT, "--environment", "production"],
        env={**clean, **told, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_alerts_are_listed_taken_in_hand_and_resolved(server: Mainstay) -> None:
    nothing = alerts(server, "list")
    instance = server.get(f"/api/projects/{PROJECT}")["instances"][0]["id"]
    body = {"type": "backup_failed", "severity": "high", "title": "The dump is empty"}
    made = server.call("POST", f"/api/instances/{instance}/alerts", json=body).json()
    more = body | {"title": "So is the one before", "severity": "critical"}
    second = server.call("POST", f"/api/instances/{instance}/alerts", json=more).json()

    listed = alerts(server, "list")
    other = alerts(server, "list", "--severity", "low")
    taken = alerts(server, "acknowledge", made["id"])
    both = alerts(server, "acknowledge", made["id"], second["id"])
    shown = json.loads(alerts(server, "list", "--json").stdout)["alerts"]
    alerts(server, "resolve", second["id"])
    ended = alerts(server, "resolve", made["id"])
    again = alerts(server, "resolve", made["id"])
    over = alerts(server, "list", "--resolved")

    assert (nothing.returncode, nothing.stdout) == (0, "No alert.\n")
    assert listed.returncode == 1
    assert "high" in listed.stdout
    assert "The dump is empty" in listed.stdout
    assert (other.returncode, other.stdout) == (0, "No alert.\n")
    assert taken.stdout == "acknowledged: The dump is empty\n"
    assert both.stdout == (
        "in somebody's hands already: The dump is empty\nacknowledged: So is the one before\n"
    )
    assert [bool(alert["acknowledgedAt"]) for alert in shown] == [True, True]
    assert (ended.returncode, ended.stdout) == (0, "resolved: The dump is empty\n")
    assert again.returncode == 2
    assert "No active alert begins with" in again.stderr
    assert over.returncode == 0
    assert made["id"] in over.stdout
