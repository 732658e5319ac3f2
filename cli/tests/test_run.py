"""`mainstay run` with real jobs: the exit code is the job's, whatever becomes of the reports."""

import json
import os
import signal
import socket
import stat
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
from mainstay_cli.spool import MOST_REPORTS, Kept, Spool
from typing_extensions import override

PROGRAM = Path(sys.executable).parent / "mainstay"
PATIENCE_SECONDS = 60


@pytest.fixture(autouse=True)
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this user's reports wait for a server; nothing waits yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "mainstay" / "reports"


@dataclass
class Heard:
    """A server that takes reports, and what it heard; the first `failing` are answered with 503."""

    url: str = ""
    failing: int = 0
    status: int = 200
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
            self.send_response(503 if found.failing >= 0 else found.status)
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


def waiting(reports: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_bytes()) for path in sorted(reports.glob("*.json"))]


def test_an_end_that_nobody_took_is_told_by_the_next_run_before_its_own_start(
    heard: Heard, reports: Path
) -> None:
    heard.failing = 1_000_000
    lost = run(heard.url, "sh", "-c", "echo first; exit 7")
    assert (lost.returncode, lost.stdout) == (7, "first\n")
    assert "the next run tells it" in lost.stderr
    (kept,) = waiting(reports)
    assert (kept["word"], kept["body"]) == ("/7", "first\n")
    (path,) = reports.glob("*.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(reports.stat().st_mode) == 0o700

    heard.failing, heard.reports = 0, []
    done = run(heard.url, "sh", "-c", "echo second")

    assert (done.returncode, done.stdout, done.stderr) == (0, "second\n", "")
    assert heard.words() == ["/7", "/start", "/0"]
    (_, first, body), (_, start, _), (_, end, _) = heard.reports
    assert first["rid"] == [kept["run_id"]]
    assert int(first["late"][0]) >= 0
    assert body == b"first\n"
    assert start["rid"] == end["rid"] != first["rid"]
    assert "late" not in end
    assert waiting(reports) == []


def test_an_end_is_kept_from_its_first_fault_on_and_forgotten_when_it_was_taken(
    heard: Heard, reports: Path
) -> None:
    heard.failing = 2

    done = run(heard.url, "false")

    assert (done.returncode, done.stderr) == (1, "")
    assert heard.words() == ["/start", "/1", "/1"]
    assert ["late" in flags for _, flags, _ in heard.reports] == [False, False, True]
    assert len({flags["rid"][0] for _, flags, _ in heard.reports}) == 1
    assert reports.is_dir()
    assert waiting(reports) == []


def test_a_server_that_never_answers_keeps_no_job_from_ending(reports: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        done = run(f"http://127.0.0.1:{mute.getsockname()[1]}/ping/x", "sh", "-c", "exit 3")

    assert done.returncode == 3
    assert [each["word"] for each in waiting(reports)] == ["/3"]


def test_what_the_server_refuses_for_good_is_not_kept(heard: Heard, reports: Path) -> None:
    heard.status = 404

    done = run(heard.url, "true")

    assert done.returncode == 0
    assert "404" in done.stderr
    assert waiting(reports) == []


def test_without_a_place_to_keep_it_the_job_ends_as_it_did(
    reports: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")

    done = run("http://127.0.0.1:9/ping/x", "sh", "-c", "exit 9")

    assert done.returncode == 9
    assert "could not be reported" in done.stderr
    assert "the next run" not in done.stderr


def an_end(number: int, *, ended_at: float | None = None) -> Kept:
    at = time.time() + number if ended_at is None else ended_at
    return Kept(
        base="http://x", word="/0", run_id=f"run-{number}", create=False, body="", ended_at=at
    )


def test_of_too_many_the_oldest_are_forgotten_and_one_run_is_kept_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "reports")
    for number in range(MOST_REPORTS + 5):
        assert spool.keep(an_end(number))
    newest = an_end(MOST_REPORTS + 10)
    assert spool.keep(newest)
    assert spool.keep(newest)

    with spool.waiting() as kept:
        assert len(kept) == MOST_REPORTS
        assert (kept[0].run_id, kept[-1]) == ("run-6", newest)
        with Spool(tmp_path / "reports").waiting() as nothing:
            assert nothing == [], "another run tells them already"


def test_what_is_too_old_or_unreadable_is_forgotten(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    assert spool.keep(an_end(1, ended_at=time.time() - 8 * 86_400))
    assert spool.keep(an_end(2))
    (tmp_path / "000000000000001-broken.json").write_text("{")

    with spool.waiting() as kept:
        assert [each.run_id for each in kept] == ["run-2"]
    assert len(list(tmp_path.glob("*.json"))) == 1
