"""`mainstay apply` and `mainstay export` in a pipeline: the real program, a real server."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from tests.journeys.running import PROJECT, TOKEN, Mainstay, running_mainstay
from tests.kuma_database import make_kuma
from tests.test_importing import DEBIAN, GATUS, PROMETHEUS
from tests.test_importing_alertmanager import FILE as ALERTMANAGER

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 180
DOCUMENT = f"""\
version: 1
project: {PROJECT}
instances:
  - environment: production
    intervalSeconds: 120
  - environment: staging
alertChannels:
  - name: chat
    type: slack
    config:
      webhookUrl: ${{CHAT_HOOK}}
"""
HOOK = "https://hooks.slack.com/services/T1/B1/secret"


@pytest.fixture(scope="module")
def server() -> Iterator[Mainstay]:
    with running_mainstay() as started:
        yield started


@pytest.fixture
def fresh() -> Iterator[Mainstay]:
    """A server that nobody has told anything yet."""
    with running_mainstay() as started:
        yield started


def run(
    server: Mainstay, folder: Path, *arguments: str, **variables: str
) -> "subprocess.CompletedProcess[str]":
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAINSTAY_", "_MAINSTAY"))}
    told = {"MAINSTAY_URL": server.url, "MAINSTAY_TOKEN": TOKEN, **variables}
    return subprocess.run(
        [Path(sys.executable).parent / "mainstay", *arguments],
        env={**clean, **told, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_a_document_goes_the_whole_way(fresh: Mainstay, tmp_path: Path) -> None:
    file = tmp_path / "mainstay.yaml"
    file.write_text(DOCUMENT)

    unset = run(fresh, tmp_path, "apply", "--plan")
    assert unset.returncode == 1
    assert "CHAT_HOOK" in unset.stderr

    plan = run(fresh, tmp_path, "apply", "--plan", CHAT_HOOK=HOOK)
    assert plan.returncode == 2, plan.stderr
    assert "~ instances production  (line 4)" in plan.stdout
    assert "intervalSeconds: 300 → 120" in plan.stdout
    assert "+ alertChannels chat" in plan.stdout
    assert "config.webhookUrl: ${CHAT_HOOK}" in plan.stdout
    assert "secret" not in plan.stdout + plan.stderr

    unasked = run(fresh, tmp_path, "apply", CHAT_HOOK=HOOK)
    assert (unasked.returncode, "--yes" in unasked.stderr) == (1, True)

    done = run(fresh, tmp_path, "apply", "--yes", CHAT_HOOK=HOOK)
    assert done.returncode == 0, done.stderr
    assert "Applied: 2 created, 1 changed, 0 removed." in done.stdout
    again = run(fresh, tmp_path, "apply", "--plan", "--json", CHAT_HOOK=HOOK)
    assert again.returncode == 0
    assert json.loads(again.stdout)["unchanged"] == 3

    exported = run(fresh, tmp_path, "export", "--project", PROJECT, "-o", "now.yaml")
    assert exported.returncode == 0, exported.stderr
    text = (tmp_path / "now.yaml").read_text()
    assert "webhookUrl: ${ALERT_CHANNELS_CHAT_CONFIG_WEBHOOK_URL:-kept}" in text
    assert "secret" not in text.replace("Secrets are", "")
    kept = run(fresh, tmp_path, "apply", "-f", "now.yaml", "--plan")
    assert kept.returncode == 0, kept.stdout

    file.write_text(DOCUMENT.replace("  - environment: staging\n", ""))
    left = run(fresh, tmp_path, "apply", "--plan", CHAT_HOOK=HOOK)
    assert left.returncode == 0
    assert "no longer in it: staging" in left.stderr
    pruned = run(fresh, tmp_path, "apply", "--prune", "--yes", CHAT_HOOK=HOOK)
    assert "- instances staging" in pruned.stdout
    assert "1 removed" in pruned.stdout


def test_faults_are_told_with_their_lines(server: Mainstay, tmp_path: Path) -> None:
    (tmp_path / "mainstay.yaml").write_text(
        f"version: 1\nproject: {PROJECT}\nmonitors: []\ninstances:\n  - url: x\n"
    )
    refused = run(server, tmp_path, "apply", "--plan")
    assert refused.returncode == 1
    assert "line 3: monitors is not known" in refused.stderr
    assert "line 5: instances[0] needs environment" in refused.stderr
    assert run(server, tmp_path, "apply", "-f", "none.yaml").returncode == 1
    assert run(server, tmp_path, "apply", MAINSTAY_TOKEN="").returncode == 1


def secrets_in(file: Path) -> dict[str, str]:
    """The variables of a shell's file, as a shell has them after reading it."""
    assert file.stat().st_mode & 0o777 == 0o600
    read = subprocess.run(
        ["/bin/sh", "-c", '. "$1" && env -0', "sh", str(file)],
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split("=", 1) for line in read.stdout.split("\0") if "=" in line)


def test_what_other_tools_have_is_taken_by_the_server(server: Mainstay, tmp_path: Path) -> None:
    make_kuma(tmp_path / "kuma.db")
    (tmp_path / "config.yaml").write_text(GATUS)
    (tmp_path / "prometheus.yml").write_text(PROMETHEUS)
    (tmp_path / "alertmanager.yml").write_text(ALERTMANAGER)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "it's").write_text(f"{HOOK}\n")
    blackbox = ("blackbox", str(DEBIAN), "--prometheus", "prometheus.yml")
    alertmanager = ("alertmanager", "alertmanager.yml")
    sources = (("kuma", "kuma.db"), ("gatus", "config.yaml"), blackbox, alertmanager)
    for number, source in enumerate(sources):
        file, env = f"{number}.yaml", tmp_path / f"{number}.env"
        told = ("--project", PROJECT, "-o", file, "--env", str(env))
        made = run(server, tmp_path, "import", *source, *told)
        assert made.returncode == 0, made.stderr
        assert "Look at these by hand:" in made.stderr
        text = (tmp_path / file).read_text()
        owner = f"version: 1\nowner: {source[0]}\n"
        (tmp_path / file).write_text(text.replace("version: 1\n", owner, 1))
        known = secrets_in(env)
        known |= {"TEAMS_URL": "https://teams.example/workflows/one"}
        known |= {"SLACK_URL": "https://hooks.slack.com/services/T9/B9/gatus", "TOKEN": "t0k3n"}
        done = run(server, tmp_path, "apply", "-f", file, "--yes", **known)
        assert done.returncode == 0, done.stderr
        assert not [name for name in known if known[name] in text + made.stderr + done.stdout]
        again = run(server, tmp_path, "apply", "-f", file, "--plan", **known)
        assert again.returncode == 0, again.stdout


def test_a_file_that_is_none_is_refused_and_writes_nothing(
    server: Mainstay, tmp_path: Path
) -> None:
    (tmp_path / "alertmanager.yml").write_text("route: {recevier: a}\n")
    refused = run(server, tmp_path, "import", "alertmanager", "alertmanager.yml", "-o", "new.yaml")
    assert refused.returncode == 1
    assert "Line 1: a route has no 'recevier'" in refused.stderr
    assert not (tmp_path / "new.yaml").exists()


def test_what_healthchecks_api_tells_is_taken_with_its_uuids(
    server: Mainstay, tmp_path: Path
) -> None:
    """Our own management API speaks version 3, so it stands for theirs."""
    (tmp_path / "jobs.yaml").write_text(
        f"version: 1\nproject: {PROJECT}\nowner: jobs\ninstances:\n  - environment: jobs\n"
        "heartbeats:\n"
        "  - {instance: jobs, name: Nightly, scheduleKind: cron, expression: 0 3 * * *}\n"
        "  - {instance: jobs, name: Hourly, periodSeconds: 3600, tags: [a]}\n"
    )
    assert run(server, tmp_path, "apply", "-f", "jobs.yaml", "--yes").returncode == 0
    key = management_key(server, environment="jobs")
    asked = ("healthchecks", "--url", server.url, "--api-key", key, "--environment", "moved")
    made = run(server, tmp_path, "import", *asked, "-o", "moved.yaml", "--env", "moved.env")
    assert made.returncode == 0, made.stderr
    text = (tmp_path / "moved.yaml").read_text()
    known = secrets_in(tmp_path / "moved.env")
    assert all(
        re.fullmatch(r"[0-9a-f-]{36}", known[name]) for name in re.findall(r"\{(\w+)\}", text)
    )
    assert "expression: 0 3 * * *" in text
    wrong = run(server, tmp_path, "import", *asked[:-2], "--api-key", "x" * 32)
    assert wrong.returncode == 1

    # As somebody who leaves the old server: it forgets, and the new one takes over the addresses.
    gone = f"version: 1\nproject: {PROJECT}\nowner: jobs\n"
    (tmp_path / "jobs.yaml").write_text(gone)
    removed = run(server, tmp_path, "apply", "-f", "jobs.yaml", "--prune", "--yes")
    assert removed.returncode == 0, removed.stderr
    moved = text.replace("version: 1\n", f"version: 1\nproject: {PROJECT}\nowner: moved\n", 1)
    moved += "instances:\n  - environment: moved\n"
    (tmp_path / "moved.yaml").write_text(moved)
    done = run(server, tmp_path, "apply", "-f", "moved.yaml", "--yes", **known)
    assert done.returncode == 0, done.stderr
    for name in re.findall(r"\$\{(\w+)\}", text):
        ping = httpx.get(f"{server.url}/ping/{known[name]}")
        assert (ping.status_code, ping.text) == (200, "OK")


def management_key(server: Mainstay, *, environment: str) -> str:
    """A key of the instance for Healthchecks' management API."""
    asked = {"authorization": f"Bearer {TOKEN}"}
    project = httpx.get(f"{server.url}/api/projects/{PROJECT}", headers=asked).json()
    (id_,) = [one["id"] for one in project["instances"] if one["environment"] == environment]
    made = httpx.post(
        f"{server.url}/api/instances/{id_}/heartbeat-keys",
        headers=asked,
        json={"kind": "write", "name": "move"},
    )
    assert made.status_code == 201, made.text
    return str(made.json()["key"])
