"""`mainstay run` with real jobs: the exit code is the job's, whatever becomes of the reports."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from typing_extensions import override

PROGRAM = Path(sys.executable).parent / "mainstay"
PATIENCE_SECONDS = 60


@dataclass
class Heard:
    """A server that takes reports, and what it heard; the first `failing` are answered with 503."""

    url: str = ""
    failing: int = 0
    reports: list[tuple[str, dict[str, list[str]], bytes]] = field(default_factory=list)

    def words(self) -> list[str]:
        return [path.removeprefix("/ping/x") for path, _, _ in self.reports]


@pytest.fixture
def heard() -> Iterator[Heard]:
    found = Heard()

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            parts = urlsplit(self.path)
            found.reports.append((parts.path, parse_qs(parts.query), body))
            found.failing -= 1
            self.send_response(503 if found.failing >= 0 else 200)
            self.end_headers()

        @override
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_port}/ping/x"
    yield found
    server.shutdown()
    server.server_close()


def run(url: str, *command: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, "run", "--url", url, *options, "--", *command],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_start_end_exit_code_and_output_are_reported(heard: Heard) -> None:
    done = run(heard.url, "sh", "-c", "echo out; echo err >&2; exit 5")

    assert (done.returncode, done.stdout, done.stderr) == (5, "out\n", "err\n")
    assert heard.words() == ["/start", "/5"]
    (_, start, _), (_, end, body) = heard.reports
    assert start["rid"] == end["rid"]
    assert sorted(body.decode().split()) == ["err", "out"]


def test_only_the_end_of_a_long_output_is_sent_and_all_of_it_is_seen(heard: Heard) -> None:
    done = run(heard.url, sys.executable, "-c", "print('x' * 50_000); print('the end')")

    assert len(done.stdout) == 50_009
    body = heard.reports[-1][2]
    assert len(body) == 10_000
    assert body.endswith(b"the end\n")


def test_quiet_sends_no_output(heard: Heard) -> None:
    run(heard.url, "echo", "secret", options=("--quiet",))

    assert heard.reports[-1][2] == b""


def test_the_job_runs_though_the_server_is_away() -> None:
    begun = time.monotonic()
    done = run("http://127.0.0.1:9/ping/x", "sh", "-c", "echo ran; exit 7")

    assert (done.returncode, done.stdout) == (7, "ran\n")
    assert "could not be reported" in done.stderr
    assert time.monotonic() - begun < PATIENCE_SECONDS


def test_the_end_is_reported_again_until_it_is_taken(heard: Heard) -> None:
    heard.failing = 3

    done = run(heard.url, "true")

    assert (done.returncode, done.stderr) == (0, "")
    assert heard.words() == ["/start", "/0", "/0", "/0"]


def test_a_signal_ends_the_job_and_is_told(heard: Heard) -> None:
    process = subprocess.Popen(
        [PROGRAM, "run", "--url", heard.url, "--", "sh", "-c", "echo ready; exec sleep 100"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"

    os.kill(process.pid, signal.SIGTERM)

    assert process.wait(PATIENCE_SECONDS) == 128 + signal.SIGTERM
    process.stdout.close()
    assert heard.words() == ["/start", "/143"]


def test_a_command_that_is_not_there_is_127_and_told(heard: Heard) -> None:
    done = run(heard.url, "no-such-command-here")

    assert done.returncode == 127
    assert "there is no such command" in done.stderr
    assert heard.words() == ["/start", "/127"]


def test_without_a_heartbeat_nothing_runs() -> None:
    done = subprocess.run(
        [PROGRAM, "run", "--slug", "x", "--", "echo", "ran"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
        env={key: value for key, value in os.environ.items() if "MAINSTAY" not in key},
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert "MAINSTAY_PING_KEY" in done.stderr


def test_a_slug_is_reported_by_the_ping_key(heard: Heard) -> None:
    place = heard.url.removesuffix("/ping/x")
    done = subprocess.run(
        [PROGRAM, "run", "--slug", "nightly", "--create", "--", "true"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
        env={**os.environ, "MAINSTAY_PING_KEY": "key0123456", "MAINSTAY_URL": place},
    )

    assert done.returncode == 0, done.stderr
    path, query, _ = heard.reports[-1]
    assert (path, query["create"]) == ("/ping/key0123456/nightly/0", ["1"])
