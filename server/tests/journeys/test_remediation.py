"""A real server of somebody's app is killed, and brought back by a command on a real probe."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.running import PROGRAM, Mainstay, running_mainstay
from tests.servers.processes import free_port
from tests.waiting import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.slow

PATIENT = 2 * PATIENCE_SECONDS
RESTART = """\
import os, subprocess, sys
folder, port = sys.argv[1:]
app = subprocess.Popen(
    [sys.executable, "-m", "http.server", port, "--bind", "127.0.0.1", "--directory", folder],
    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
)
with open(folder + "/pid", "w") as file:
    file.write(str(app.pid))
print("started again, secret-free:", "MAINSTAY_PROBE_TOKEN" not in os.environ)
"""


class App:
    """An app that a script starts, and that lives on its own then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.script = folder / "restart.py"
        self.script.write_text(RESTART)

    @property
    def command(self) -> list[str]:
        return [sys.executable, str(self.script), str(self.folder), str(self.port)]

    def start(self) -> None:
        subprocess.run(self.command, check=True, stdout=subprocess.DEVNULL)
        eventually(self.answers)

    def kill(self) -> None:
        with suppress(ProcessLookupError, FileNotFoundError):
            os.kill(int((self.folder / "pid").read_text()), 9)
        eventually(lambda: not self.answers())

    def answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
            return True
        return False


@contextmanager
def running_probe(mainstay: Mainstay, token: str, folder: Path, file: Path) -> Iterator[None]:
    process = subprocess.Popen(
        [
            *(str(PROGRAM), "probe", "--server", mainstay.url, "--commands", str(file)),
            *("--data-dir", str(folder / "buffer")),
        ],
        env={**os.environ, "MAINSTAY_PROBE_TOKEN": token},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def post(mainstay: Mainstay, path: str, body: dict[str, Any]) -> Any:
    answer = mainstay.call("POST", path, json=body)
    assert answer.is_success, answer.text
    return answer.json()


def test_a_killed_app_is_started_again_by_its_probe_and_the_incident_says_so(
    tmp_path: Path,
) -> None:
    app = App(tmp_path)
    file = tmp_path / "commands.toml"
    words = ", ".join(f"'{word}'" for word in app.command)
    file.write_text(f"[commands]\nrestart-app = [{words}]\n")
    file.chmod(0o600)
    app.start()
    try:
        with running_mainstay() as mainstay:
            made = post(mainstay, "/api/probes", {"name": "fra-1", "location": "Frankfurt"})
            with running_probe(mainstay, made["token"], tmp_path, file):
                heal(mainstay, app, probe_id=made["id"])
    finally:
        app.kill()


def heal(mainstay: Mainstay, app: App, *, probe_id: str) -> None:
    instance, project = mainstay.instance_id, mainstay.project["slug"]
    action = {
        "name": "restart-app",
        "kind": "command",
        "probeId": probe_id,
        "command": "restart-app",
        "matchers": 'alertname="instance_down"',
        "automatic": True,
        "verifySeconds": 600,
    }
    post(mainstay, f"/api/projects/{project}/remediation-actions", action)
    check = {
        "url": f"http://127.0.0.1:{app.port}/",
        "name": "app",
        "intervalSeconds": 5,
        "failAfter": 1,
        "recoverAfter": 1,
    }
    post(mainstay, f"/api/instances/{instance}/health-checks", check)
    checks = f"/api/instances/{instance}/health-checks"

    def healthy() -> bool:
        found = mainstay.get(checks)["healthChecks"]
        return any(each["name"] == "app" and each["state"] == "healthy" for each in found)

    eventually(healthy, within_seconds=PATIENT)
    app.kill()

    def last_run() -> Any:
        runs = mainstay.get(f"/api/projects/{project}/remediation-runs")["runs"]
        return runs[0] if runs and runs[0]["state"] == "healed" else None

    run = eventually(last_run, within_seconds=PATIENT)
    assert app.answers()
    assert [each["wentThrough"] for each in run["tries"]] == [True]
    assert "started again, secret-free: True" in run["tries"][0]["said"]
    incidents = f"/api/projects/{project}/incidents"

    def closed() -> bool:
        return bool(mainstay.get(incidents)["incidents"][0]["status"] == "resolved")

    eventually(closed, within_seconds=PATIENT)
    timeline = mainstay.get(f"{incidents}/1/timeline")["entries"]
    titles = [entry["title"] for entry in timeline]
    assert "Remediation restart-app began" in titles
    assert "Remediated by restart-app, tries: 1" in titles
