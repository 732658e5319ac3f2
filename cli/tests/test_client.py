"""The client of the server: what may be asked again is, and what may not is told at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import typer
from mainstay_cli import upload
from mainstay_cli.client import Server, give_up, plain
from typing_extensions import override


class Answers(BaseHTTPRequestHandler):
    """Hangs up on the first who asks, and answers everybody after."""

    asked = 0

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Nothing is to be read in the output of tests."""

    def do_GET(self) -> None:
        type(self).asked += 1
        if type(self).asked == 1:
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("content-length", "19")
        self.end_headers()
        self.wfile.write(b'{"status": "ended"}')


@contextmanager
def answering() -> Iterator[Server]:
    Answers.asked = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Server(f"http://127.0.0.1:{server.server_port}", "token")
        finally:
            server.shutdown()
            thread.join()


def test_what_takes_its_time_is_followed_through_a_lost_answer() -> None:
    with answering() as server:
        assert server.follow("/api/backups/1") == {"status": "ended"}


def test_what_is_asked_once_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with answering() as server, pytest.raises(typer.Exit):
        server.get("/api/backups/1")
    assert "does not answer" in capsys.readouterr().err


STEERING = "\x1b]0;evil\x07\x1b[2J\u202etxt\udcff"


def test_what_others_wrote_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert plain("Ünï 🎉\nnext") == "Ünï 🎉\nnext"
    assert plain(STEERING) == r"\x1b]0;evil\x07\x1b[2J\u202etxt\udcff"
    with pytest.raises(typer.Exit):
        give_up(STEERING)
    assert "\x1b]" not in capsys.readouterr().err


def test_a_commit_of_any_name_is_told_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    compared = {
        "against": {"commit": "[/red]\x1b[2J", "receivedAt": ""},
        "counts": {"newFailures": 1, "fixed": 0, "slower": 0, "metrics": 0},
        "newFailures": [{"name": STEERING, "message": STEERING}],
        **{name: [] for name in ("fixed", "slower", "metrics")},
    }
    sent = {"isNew": True, "kind": "analysis", "metrics": 1}
    upload._show(Path("results.xml"), sent, compared, [])
    told = capsys.readouterr().out
    assert "[/red]" in told
    assert "\x1b[2J" not in told
    assert "\x1b]" not in told
