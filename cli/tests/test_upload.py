"""`mainstay upload results` in a pipeline: the real program against a real server."""

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
PATIENCE_SECONDS = 180


@pytest.fixture(scope="module")
def server() -> Iterator[Mainstay]:
    with running_mainstay() as started:
        yield started


def upload(
    server: Mainstay, file: Path, *options: str, **variables: str
) -> "subprocess.CompletedProcess[str]":
    ours = ("MAINSTAY_", "_MAINSTAY", "GITHUB_", "GITLAB_", "CI")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    told = {"MAINSTAY_URL": server.url, "MAINSTAY_TOKEN": TOKEN, **variables}
    return subprocess.run(
        [PROGRAM, "upload", "results", file, "--project", PROJECT, *options],
        env={**clean, **told, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def pytest_report(folder: Path, body: str) -> Path:
    """What the real pytest writes about a test file."""
    (folder / "test_orders.py").write_text(body)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=r.xml"]
    subprocess.run([*command, "test_orders.py"], cwd=folder, capture_output=True, check=False)
    return folder / "r.xml"


def test_a_pipeline_stops_at_a_test_that_fails_anew_and_not_at_one_that_did_before(
    server: Mainstay, tmp_path: Path
) -> None:
    here = {"GITHUB_ACTIONS": "true", "GITHUB_REF_NAME": "main", "GITHUB_SHA": "a" * 40}
    gate = ("--name", "orders", "--fail-on", "new-failures")
    one_fails = "def test_a():\n    assert 1 == 2\n\n\ndef test_b():\n    pass\n"
    two_fail = one_fails.replace("pass", "assert 3 == 4")
    first = upload(server, pytest_report(tmp_path, one_fails), "--name", "orders", **here)
    assert first.returncode == 0, first.stderr
    assert "2 cases, 1 failed, 0 skipped" in first.stdout
    assert "nothing before" in first.stdout

    here["GITHUB_SHA"] = "b" * 40
    same = upload(server, pytest_report(tmp_path, one_fails), *gate, **here)
    assert same.returncode == 0, same.stdout
    assert "Since aaaaaaaaaaaa: 0 new failures" in same.stdout
    here["GITHUB_SHA"] = "c" * 40
    report = pytest_report(tmp_path, two_fail)
    stopped = upload(server, report, *gate, **here)
    assert stopped.returncode == 1
    assert "test_orders::test_b  assert 3 == 4" in stopped.stdout
    assert "Failed on new-failures." in stopped.stdout
    again = upload(server, report, *gate, **here)
    assert (again.returncode, "it was there already" in again.stdout) == (1, True)

    pull = {"GITHUB_ACTIONS": "true", "GITHUB_HEAD_REF": "feature", "GITHUB_SHA": "d" * 40}
    mended = pytest_report(tmp_path, two_fail.replace("3 == 4", "True"))
    branch = upload(server, mended, *gate, "--against", "main", "--json", **pull)
    told = json.loads(branch.stdout)
    assert branch.returncode == 0
    assert (told["result"]["branch"], told["comparison"]["fixed"]) == (
        "feature",
        ["test_orders::test_b"],
    )


def test_ledgers_and_numbers_are_taken_and_what_is_wrong_ends_with_two(
    server: Mainstay, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.json"
    ledger.write_text('[{"name": "migrate", "status": "success", "durationMs": 1200}]')
    kind = ("--kind", "run-ledger")
    assert "1 cases, 0 failed" in upload(server, ledger, *kind).stdout
    numbers = tmp_path / "numbers.json"
    numbers.write_text('{"coverage": {"lines": 93.1}}')
    assert upload(server, numbers, "--kind", "analysis").returncode == 0
    numbers.write_text('{"coverage": {"lines": 91.4}}')
    told = upload(server, numbers, "--kind", "analysis")
    assert "coverage.lines: 93.1 → 91.4" in told.stdout
    for file, options, why in (
        (numbers, ("--kind", "other"), "--kind takes"),
        (numbers, ("--fail-on", "mondays"), "--fail-on takes"),
        (numbers, (), "cannot be read"),
        (tmp_path / "missing", (), "cannot be read"),
    ):
        ended = upload(server, file, *options)
        assert (ended.returncode, why in ended.stderr) == (2, True), ended.stderr
