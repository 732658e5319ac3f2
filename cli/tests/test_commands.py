"""The command as people and pipelines use it: the real program against a real server."""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from typing_extensions import override

pytestmark = pytest.mark.slow

PROGRAM = Path(sys.executable).parent / "mainstay"
TOKEN = "mst_command_owner_token_0123456789abcdefgh"
PROJECT = "inspections"
PATIENCE_SECONDS = 120
STAGING = ("--environment", "staging")  # production would have to answer over TLS


@dataclass(frozen=True)
class Server:
    """A running server, with one project and its production instance."""

    url: str

    def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """The JSON that the API answers to the owner."""
        request = Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Bearer {TOKEN}", "content-type": "application/json"},
        )
        with urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            found: dict[str, Any] = json.loads(answer.read() or b"{}")
        return found


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    settings = {
        "MAINSTAY_BOOTSTRAP_EMAIL": "owner@ships.example",
        "MAINSTAY_BOOTSTRAP_PASSWORD": "correct horse battery staple",
        "MAINSTAY_BOOTSTRAP_TOKEN": TOKEN,
        "MAINSTAY_BOOTSTRAP_PROJECT": PROJECT,
        "MAINSTAY_BACKUP_FOLDERS": str(Path(__file__).parent),
    }
    with tempfile.TemporaryDirectory(prefix="mainstay-command-") as folder:
        process = subprocess.Popen(
            [PROGRAM, "up", "--port", "0", "--data-dir", folder],
            env={**os.environ, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        late = threading.Timer(PATIENCE_SECONDS, process.kill)
        late.start()
        assert process.stdout is not None
        with process.stdout:
            found = next(filter(None, (re.search(r"at (http://\S+)", x) for x in process.stdout)))
            late.cancel()
            yield Server(found[1])
            process.kill()
            process.wait()


def mainstay(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end, in a shell that knows nothing of Mainstay but what is given."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAINSTAY_", "_MAINSTAY"))}
    return subprocess.run(
        [PROGRAM, *arguments],
        env={**clean, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "100", **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def doctor(
    server: Server, *arguments: str, token: str = TOKEN
) -> "subprocess.CompletedProcess[str]":
    """Ask the doctor about the project, told by the environment where and who."""
    given = () if "--project" in arguments else ("--project", PROJECT)
    return mainstay("doctor", *given, *arguments, MAINSTAY_URL=server.url, MAINSTAY_TOKEN=token)


def test_help_lists_the_verbs_and_each_verb_explains_itself() -> None:
    listed = mainstay("--help")
    assert listed.returncode == 0
    for verb in ("doctor", "up", "serve", "migrate"):
        assert verb in listed.stdout
        explained = mainstay(verb, "--help")
        assert explained.returncode == 0, verb
        assert f"mainstay {verb}" in explained.stdout
        assert "--data-dir" in explained.stdout or "--project" in explained.stdout, verb


def test_an_unknown_verb_or_option_is_2_and_says_which() -> None:
    assert mainstay("dockter").returncode == 2
    wrong = mainstay("up", "--prot", "1")
    assert wrong.returncode == 2
    assert "--prot" in wrong.stderr


def test_the_shell_completes_verbs_and_options() -> None:
    # The program looks for the shell that it was started by.
    inside = ["bash", "-c", '"$0" --show-completion; exit $?', str(PROGRAM)]
    script = subprocess.run(inside, capture_output=True, text=True, timeout=60, check=False)
    assert script.returncode == 0
    assert "_MAINSTAY_COMPLETE" in script.stdout

    def completed(words: str) -> list[str]:
        asked = mainstay(
            _MAINSTAY_COMPLETE="complete_bash",
            COMP_WORDS=words,
            COMP_CWORD=str(len(words.split(" ")) - 1),
        )
        return asked.stdout.split()

    assert completed("mainstay do") == ["doctor"]
    assert "--project" in completed("mainstay doctor --")


def test_the_doctor_ends_with_1_while_something_is_missing(server: Server) -> None:
    ended = doctor(server)
    assert ended.returncode == 1
    assert "Not ready yet." in ended.stdout
    assert "→" in ended.stdout, "every red line has its fix"

    card = json.loads(doctor(server, "--json").stdout)
    assert card["ready"] is False
    assert all(check["fix"] for check in card["checks"] if check["status"] == "failed")


def test_the_doctor_ends_with_0_once_nothing_that_must_be_is_missing(server: Server) -> None:
    with receiver() as webhook:
        make_ready(server, webhook)
        deadline = time.monotonic() + PATIENCE_SECONDS
        ended = doctor(server, *STAGING, "--json")
        while ended.returncode != 0 and time.monotonic() < deadline:
            time.sleep(0.5)
            ended = doctor(server, *STAGING, "--json")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert json.loads(ended.stdout)["ready"] is True
    assert "Ready." in doctor(server, *STAGING).stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--project", "nowhere"], "There is no project 'nowhere'"),
        (["--environment", "moon"], "has no environment 'moon'; it has production"),
        (["--token", "mst_wrong"], "does not know this access token"),
        (["--url", "http://127.0.0.1:9"], "does not answer"),
        (["--url", "no address"], "does not answer"),
        (["--project", "../../healthz"], "Not Found"),
    ],
)
def test_what_cannot_be_asked_is_2_and_a_sentence(
    server: Server, arguments: list[str], sentence: str
) -> None:
    ended = doctor(server, *arguments)
    assert ended.returncode == 2, ended.stdout
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_without_a_token_it_is_told_where_to_get_one() -> None:
    ended = mainstay("doctor", "--project", PROJECT)
    assert ended.returncode == 2
    assert "MAINSTAY_TOKEN" in ended.stderr


def make_ready(server: Server, webhook: str) -> None:
    """Do what the doctor says about all that must be: watch, tell, receive, measure, back up."""
    project: dict[str, Any] = server.ask("GET", f"/api/projects/{PROJECT}")
    staging = {"project": PROJECT, "environment": "staging", "url": server.url}
    made = server.ask("POST", "/api/instances", {**staging, "healthPath": "/healthz"})
    instance = f"/api/instances/{made['id']}"
    channel = server.ask(
        "POST",
        f"{instance}/alert-channels",
        {"type": "webhook", "config": {"webhookUrl": webhook}},
    )
    server.ask("POST", f"{instance}/alert-channels/{channel['id']}/test")
    key = f"sentry_key={project['ingestKey']}"
    sent = {"at": now(), "method": "GET", "path": "/", "status": 200, "durationMs": 12}
    here = {"environment": "staging", "release": "app@1.2.3"}
    ingest = f"/api/{project['number']}"
    server.ask("POST", f"{ingest}/store/?{key}", {**here, "message": "It broke."})
    server.ask("POST", f"{ingest}/requests/?{key}", {**here, "requests": [sent]})
    files = {"engine": "files", "config": {"path": str(Path(__file__).parent)}}
    target = {"name": "tests", **files, "newKey": "kept"}
    target_id = server.ask("POST", f"{instance}/backup-targets", target)["id"]
    server.ask("POST", f"/api/backup-targets/{target_id}/backups")


def now() -> str:
    return datetime.now(UTC).isoformat()


@contextmanager
def receiver() -> Iterator[str]:
    """A web server that takes every webhook; yields its address."""

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(204)
            self.end_headers()

        @override
        def log_message(self, *_: object) -> None:
            """Say nothing: the test asks for what it wants to know."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Taking) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}/"
        listening.shutdown()
