"""`mainstay vulnerabilities` in a pipeline: a real scanner, the real program, a real server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.journeys.running import PROJECT, TOKEN, Mainstay, running_mainstay

pytestmark = pytest.mark.slow

FOLDER = Path(sys.executable).parent
PATIENCE_SECONDS = 180
WEAK = (
    'import subprocess\n\n\ndef export(name):\n    subprocess.call("tar c " + name, shell=True)\n'
)
MENDED = 'import tarfile\n\n\ndef export(name):\n    tarfile.open(name, "w").close()\n'


@pytest.fixture(scope="module")
def server() -> Iterator[Mainstay]:
    with running_mainstay() as started:
        yield started


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A checkout with one weak file in it."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app/export.py").write_text(WEAK)
    return tmp_path


def run(
    server: Mainstay, repository: Path, *arguments: str, **variables: str
) -> "subprocess.CompletedProcess[str]":
    ours = ("MAINSTAY_", "_MAINSTAY", "GITHUB_", "GITLAB_", "CI")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    told = {"MAINSTAY_URL": server.url, "MAINSTAY_TOKEN": TOKEN, **variables}
    return subprocess.run(
        [FOLDER / "mainstay", "vulnerabilities", *arguments, "--project", PROJECT],
        env={**clean, **told, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"},
        cwd=repository,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def bandit(repository: Path) -> None:
    """Have the real Bandit look at the checkout."""
    command = [
        str(FOLDER / "bandit"),
        "-q",
        "-r",
        ".",
        "-f",
        "sarif",
        "-o",
        "scan.sarif",
        "--exit-zero",
    ]
    subprocess.run(command, cwd=repository, check=True, timeout=PATIENCE_SECONDS)


def test_bandit_finds_the_gate_stops_and_what_is_mended_is_fixed(
    server: Mainstay, repository: Path
) -> None:
    bandit(repository)
    sent = run(server, repository, "upload", "scan.sarif", "--source", "journey")
    assert sent.returncode == 0, sent.stderr
    assert "scan.sarif: journey names 2: 2 new, 0 fixed." in sent.stdout

    gate = ("gate", "--source", "journey")
    stopped = run(server, repository, *gate)
    assert stopped.returncode == 1
    assert "app/export.py:5" in stopped.stdout
    assert "B602" in stopped.stdout
    assert "Failed. 1 open of at least high on main." in stopped.stdout

    moved = "# one line more\n" + WEAK
    (repository / "app/export.py").write_text(moved)
    bandit(repository)
    again = run(server, repository, "upload", "scan.sarif", "--source", "journey")
    assert "names 2: 0 new, 0 fixed." in again.stdout, "the line moved, the finding did not"

    (repository / "app/export.py").write_text(MENDED)
    bandit(repository)
    options = ("--source", "journey", "--release", "1.4.0", "--json")
    mended = json.loads(run(server, repository, "upload", "scan.sarif", *options).stdout)
    assert (mended["scans"][0]["fixed"], mended["scans"][0]["release"]) == (2, "1.4.0")
    assert run(server, repository, *gate).returncode == 0
    listed = run(server, repository, "list", "--status", "fixed", "--search", "shell")
    assert "app/export.py" in listed.stdout


def test_a_pull_request_fails_for_what_it_adds_only(server: Mainstay, repository: Path) -> None:
    main = {"GITHUB_ACTIONS": "true", "GITHUB_REF_NAME": "main", "GITHUB_SHA": "aaaa"}
    pull = {"GITHUB_ACTIONS": "true", "GITHUB_HEAD_REF": "feature", "GITHUB_SHA": "bbbb"}
    options = ("--source", "pull requests")
    gate = ("gate", "--only-new", "--against", "main", *options)
    (repository / "app/export.py").rename(repository / "app/archive.py")
    bandit(repository)
    run(server, repository, "upload", "scan.sarif", *options, **main)

    unscanned = run(server, repository, *gate, **pull)
    assert (unscanned.returncode, "was not scanned" in unscanned.stdout) == (1, True)
    run(server, repository, "upload", "scan.sarif", *options, **pull)
    assert run(server, repository, *gate, **pull).returncode == 0

    (repository / "app/load.py").write_text('import os\n\nos.system("ls " + input())\n')
    bandit(repository)
    run(server, repository, "upload", "scan.sarif", *options, **pull)
    added = run(server, repository, *gate, "--fail-on", "low", **pull)
    assert added.returncode == 1
    assert "app/load.py" in added.stdout
    assert "app/archive.py" not in added.stdout


def test_what_cannot_be_asked_ends_with_two(server: Mainstay, repository: Path) -> None:
    (repository / "no.json").write_text("{}")
    for arguments, told in (
        (("upload", "no.json"), "no scan of a kind"),
        (("upload", "missing.json"), "cannot be read"),
        (("gate", "--fail-on", "awful"), "--fail-on takes"),
        (("gate", "--environment", "nowhere"), "no environment"),
    ):
        ended = run(server, repository, *arguments)
        assert (ended.returncode, told in ended.stderr) == (2, True), ended.stderr
