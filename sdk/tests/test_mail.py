"""Mail: said to be stored only when it is, under one key however often it is asked."""

import http.server
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mainstay
import pytest
from typing_extensions import override

TOKEN = "mst_a-token-of-tests"
STORED = (202, {"id": "0199", "emails": []})
BUSY = (503, {"detail": "try again"})


class Desk:
    """A server that answers in turn, the last answer again and again; None hangs up."""

    def __init__(self, *answers: tuple[int, dict[str, Any]] | None) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []


@contextmanager
def a_desk(*answers: tuple[int, dict[str, Any]] | None) -> Iterator[Desk]:
    desk = Desk(*answers)

    class Door(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            desk.asked.append((self.path, dict(self.headers), json.loads(body)))
            answer = desk.answers.pop(0) if len(desk.answers) > 1 else desk.answers[0]
            if answer is None:
                return
            told = json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Nothing is written."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    mainstay.init(f"http://a1b2c3@127.0.0.1:{server.server_port}/prefix/7")
    try:
        yield desk
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAINSTAY_TOKEN", raising=False)


def test_a_mail_that_is_stored_is_told_by_its_id() -> None:
    with a_desk(STORED) as desk:
        one = mainstay.send_email(
            to="ann@example.com",
            template="task_finished",
            data={"status": "pass"},
            idempotency_key="inspection-1",
            token=TOKEN,
        )
    assert one == "0199"
    ((path, headers, body),) = desk.asked
    assert path == "/prefix/api/emails"
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["Idempotency-Key"] == "inspection-1"
    assert body == {
        "to": "ann@example.com",
        "template": "task_finished",
        "data": {"status": "pass"},
    }


def test_without_a_token_the_dsn_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_desk(STORED) as desk:
        assert mainstay.send_email(to=("a@example.com",), subject="Hi", text="there")
        monkeypatch.setenv("MAINSTAY_TOKEN", TOKEN)
        assert mainstay.send_email(to=["a@example.com"], subject="Hi", html="<p>there</p>")
    (by_dsn, first, _), (by_token, second, _) = desk.asked
    assert (by_dsn, first["Authorization"]) == ("/prefix/api/7/emails/", "Bearer a1b2c3")
    assert (by_token, second["Authorization"]) == ("/prefix/api/emails", f"Bearer {TOKEN}")
    assert first["Idempotency-Key"] != second["Idempotency-Key"]


def test_what_is_busy_or_hangs_up_is_asked_again_under_the_same_key() -> None:
    with a_desk(BUSY, None, STORED) as desk:
        assert mainstay.send_email(to="a@example.com", subject="s", text="t") == "0199"
    assert len(desk.asked) == 3
    assert len({headers["Idempotency-Key"] for _, headers, _ in desk.asked}) == 1


def test_a_refusal_is_not_asked_again_and_is_told_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with a_desk((400, {"detail": "to must be an address"})) as desk, caplog.at_level(logging.ERROR):
        assert mainstay.send_email(to="nobody", subject="s", text="t") == ""
    assert len(desk.asked) == 1
    assert "to must be an address" in caplog.text


def test_the_time_that_is_given_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    with a_desk(BUSY) as desk, caplog.at_level(logging.ERROR):
        assert mainstay.send_email(to="a@example.com", subject="s", timeout_seconds=0.6) == ""
    assert desk.asked
    assert "try again" in caplog.text


def test_while_mainstay_is_off_nothing_is_sent_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert mainstay.send_email(to="a@example.com", subject="s", text="t") == ""
    assert "Mainstay is off" in caplog.text
