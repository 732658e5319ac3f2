"""`mainstay maintenance` as pipelines use it: the real program against a real server."""

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


def maintenance(server: Mainstay, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `mainstay maintenance …` about the project, with nobody at the keyboard."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAINSTAY_", "_MAINSTAY"))}
    told = {"MAINSTAY_URL": server.url, "MAINSTAY_TOKEN": TOKEN}
    return subprocess.run(
        [PROGRAM, "maintenance", *arguments, "--project", PROJECT],
        env={**clean, **told, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_a_pipeline_begins_a_window_and_ends_it(server: Mainstay) -> None:
    assert "No maintenance is planned" in maintenance(server, "list").stdout
    begun = maintenance(server, "start", "--for", "1h 30m", "--name", "Deploy", "--tag", "web")
    assert begun.returncode == 0, begun.stderr
    assert "Deploy has begun and lasts until" in begun.stdout
    listed = maintenance(server, "list").stdout
    assert "lasts" in listed
    assert "web" in listed

    ended = maintenance(server, "end", "--json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["status"] == "ended"
    again = maintenance(server, "end")
    assert again.returncode == 2
    assert "No maintenance window lasts now" in again.stderr


def test_of_several_that_last_one_has_to_be_named(server: Mainstay) -> None:
    for name in ("Disks", "Network"):
        begun = maintenance(server, "start", "--name", name, "--environment", "production")
        assert begun.returncode == 0, begun.stderr
    unclear = maintenance(server, "end")
    assert unclear.returncode == 2
    assert "Disks" in unclear.stderr
    assert "Disks has ended" in maintenance(server, "end", "disk").stdout
    assert "Network has ended" in maintenance(server, "end").stdout


def test_a_length_or_an_environment_that_is_none_is_refused(server: Mainstay) -> None:
    strange = maintenance(server, "start", "--for", "soon")
    assert strange.returncode == 2
    assert "such as 30m, 2h or 1d 6h" in strange.stderr
    nowhere = maintenance(server, "start", "--environment", "moon")
    assert nowhere.returncode == 2
    assert "no environment" in nowhere.stderr
