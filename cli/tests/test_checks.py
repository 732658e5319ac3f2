"""`mainstay checks` as people and scripts use it: the real program against a real server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.journeys.running import PROJECT, TOKEN, Mainstay, running_mainstay
from tests.servers.http import Answer, HttpReceiver, running_http

pytestmark = pytest.mark.slow

PROGRAM = Path(sys.executable).parent / "mainstay"
PATIENCE_SECONDS = 120


@pytest.fixture(scope="module")
def server() -> Iterator[Mainstay]:
    with running_mainstay() as started:
        yield started


@pytest.fixture(scope="module")
def app() -> Iterator[HttpReceiver]:
    with running_http() as receiver:
        receiver.answer_at("/down", Answer(status=503))
        yield receiver


def checks(server: Mainstay, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `mainstay checks …` about the project's production."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAINSTAY_", "_MAINSTAY"))}
    told = {"MAINSTAY_URL": server.url, "MAINSTAY_TOKEN": TOKEN}
    return subprocess.run(
        [PROGRAM, "checks", *arguments, "--project", PROJECT, "--environment", "production"],
        env={**clean, **told, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_checks_are_run_listed_shown_and_paused(server: Mainstay, app: HttpReceiver) -> None:
    instance = server.get(f"/api/projects/{PROJECT}")["instances"][0]["id"]
    for name, path in (("shop", "/health"), ("search", "/down")):
        body = {"name": name, "url": f"{app.url}{path}", "intervalSeconds": 3600, "tags": [name]}
        server.call("POST", f"/api/instances/{instance}/health-checks", json=body)

    well = checks(server, "run", "shop")
    down = checks(server, "run", "search")
    listed = checks(server, "list")
    only = checks(server, "list", "--tag", "shop", "--json")
    shown = checks(server, "show", "search")
    paused = checks(server, "pause", "search")
    resumed = checks(server, "resume", "search")

    assert (well.returncode, well.stdout[:14]) == (0, "healthy shop: ")
    assert down.returncode == 1
    assert "answered 503" in down.stdout
    assert listed.returncode == 1, "search is down"
    assert [line.split()[1] for line in listed.stdout.splitlines()[1:3]] == ["search", "shop"]
    assert only.returncode == 0
    assert [check["name"] for check in json.loads(only.stdout)["healthChecks"]] == ["shop"]
    assert shown.returncode == 1
    assert "unhealthy since" in shown.stdout
    assert (paused.returncode, paused.stdout) == (0, "search is paused.\n")
    assert (resumed.returncode, resumed.stdout) == (0, "search is being asked.\n")


def test_what_is_not_there_is_refused_with_what_is(server: Mainstay) -> None:
    ended = checks(server, "run", "nonsense")

    assert ended.returncode == 2
    assert "There is no health check 'nonsense'" in ended.stderr
