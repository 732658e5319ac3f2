"""`mainstay apply` and `mainstay export` in a pipeline: the real program, a real server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.journeys.running import PROJECT, TOKEN, Mainstay, running_mainstay

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


def test_a_document_goes_the_whole_way(server: Mainstay, tmp_path: Path) -> None:
    file = tmp_path / "mainstay.yaml"
    file.write_text(DOCUMENT)

    unset = run(server, tmp_path, "apply", "--plan")
    assert unset.returncode == 1
    assert "CHAT_HOOK" in unset.stderr

    plan = run(server, tmp_path, "apply", "--plan", CHAT_HOOK=HOOK)
    assert plan.returncode == 2, plan.stderr
    assert "~ instances production  (line 4)" in plan.stdout
    assert "intervalSeconds: 300 → 120" in plan.stdout
    assert "+ alertChannels chat" in plan.stdout
    assert "config.webhookUrl: ${CHAT_HOOK}" in plan.stdout
    assert "secret" not in plan.stdout + plan.stderr

    unasked = run(server, tmp_path, "apply", CHAT_HOOK=HOOK)
    assert (unasked.returncode, "--yes" in unasked.stderr) == (1, True)

    done = run(server, tmp_path, "apply", "--yes", CHAT_HOOK=HOOK)
    assert done.returncode == 0, done.stderr
    assert "Applied: 2 created, 1 changed, 0 removed." in done.stdout
    again = run(server, tmp_path, "apply", "--plan", "--json", CHAT_HOOK=HOOK)
    assert again.returncode == 0
    assert json.loads(again.stdout)["unchanged"] == 3

    exported = run(server, tmp_path, "export", "--project", PROJECT, "-o", "now.yaml")
    assert exported.returncode == 0, exported.stderr
    text = (tmp_path / "now.yaml").read_text()
    assert "webhookUrl: ${ALERT_CHANNELS_CHAT_CONFIG_WEBHOOK_URL:-kept}" in text
    assert "secret" not in text.replace("Secrets are", "")
    kept = run(server, tmp_path, "apply", "-f", "now.yaml", "--plan")
    assert kept.returncode == 0, kept.stdout

    file.write_text(DOCUMENT.replace("  - environment: staging\n", ""))
    left = run(server, tmp_path, "apply", "--plan", CHAT_HOOK=HOOK)
    assert left.returncode == 0
    assert "no longer in it: staging" in left.stderr
    pruned = run(server, tmp_path, "apply", "--prune", "--yes", CHAT_HOOK=HOOK)
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
