"""The checks of mail servers: real SMTP with STARTTLS and signing in, and IMAP as it is spoken."""

import ssl
from collections.abc import Iterator
from typing import Any

import pytest
import trustme
from mainstay_server.kernel import outbound
from pydantic import ValidationError
from tests.areas.health_checks.worlds import ask
from tests.servers.processes import free_port
from tests.servers.shaking import shaking
from tests.servers.smtp import running_smtp
from tests.servers.talking import talking
from tests.servers.tls import server_tls

IMAP = {
    b"a2 CAPABILITY\r\n": b"* CAPABILITY IMAP4rev1 IDLE\r\na2 OK done\r\n",
    b'a3 LOGIN "wat\\"cher" "right"\r\n': b"a3 OK welcome\r\n",
    b'a3 LOGIN "wat\\"cher" "wrong"\r\n': b"a3 NO [AUTHENTICATIONFAILED] no\r\n",
    b"a1 STARTTLS\r\n": b"a1 OK begin\r\n",
}


@pytest.fixture
def tls() -> Iterator[ssl.SSLContext]:
    authority = trustme.CA()
    outbound.open_outbound(allow_private=True, ca_pem=authority.cert_pem.bytes().decode())
    yield server_tls(authority, "127.0.0.1")
    outbound.close_outbound()


def of(port: int, **more: Any) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": port, **more}


def test_a_mail_server_that_greets_is_healthy(tls: ssl.SSLContext) -> None:
    with running_smtp() as mail:
        result = ask("smtp", of(mail.port), conditions=["[BODY] contains 8BITMIME"])

    assert (result.state, result.reason) == ("healthy", "")
    assert "mail.test" in str(result.values["BANNER"])


def test_starttls_and_a_right_sign_in_are_healthy(tls: ssl.SSLContext) -> None:
    with running_smtp(username="watcher", password="right", tls=tls) as mail:
        config = of(mail.port, tls="starttls", username="watcher")
        right = ask("smtp", config | {"password": "right"})
        wrong = ask("smtp", config | {"password": "wrong"})

    assert (right.state, right.reason) == ("healthy", "")
    assert right.facts["certificate_ends_at"]
    assert wrong.state == "unhealthy"
    assert wrong.reason.startswith("answers the sign-in with 535")


def test_tls_from_the_first_byte_is_healthy(tls: ssl.SSLContext) -> None:
    with running_smtp(tls=tls, implicit_tls=True) as mail:
        assert ask("smtp", of(mail.port, tls="implicit")).state == "healthy"


def test_a_mail_server_without_starttls_is_told(tls: ssl.SSLContext) -> None:
    with running_smtp() as mail:
        result = ask("smtp", of(mail.port, tls="starttls"))

    assert (result.state, result.reason) == ("unhealthy", "does not offer STARTTLS")


@pytest.mark.parametrize(
    ("says", "state", "reason"),
    [
        (b"554 go away\r\n", "unhealthy", "greets with 554 go away"),
        (b"421 too busy\r\n", "degraded", "greets with 421 too busy"),
        (b"SSH-2.0-x\r\n", "unhealthy", "does not speak mail or files"),
        (b"x" * 100_000, "unhealthy", "sends a line without an end"),
        (b"250-more\r\n" * 200, "unhealthy", "answers without an end"),
    ],
)
def test_a_greeting_that_is_none_is_told(
    tls: ssl.SSLContext, says: bytes, state: str, reason: str
) -> None:
    with talking([says]) as port:
        result = ask("smtp", of(port))

    assert result.state == state
    assert reason in result.reason


@pytest.mark.parametrize("kind", ["smtp", "imap"])
def test_a_mail_server_that_is_silent_or_away_is_down(tls: ssl.SSLContext, kind: str) -> None:
    with talking([]) as port:
        silent = ask(kind, of(port, tls="off"), timeout_seconds=1)
    away = ask(kind, of(free_port(), tls="off"))

    assert (silent.reason, away.reason) == ("no answer within 1 s", "connection refused")


@pytest.mark.parametrize("kind", ["smtp", "imap"])
def test_a_password_is_not_sent_for_everybody_to_read(tls: ssl.SSLContext, kind: str) -> None:
    with pytest.raises(ValidationError, match="with tls only"):
        ask(kind, of(25, tls="off", username="watcher", password="right"))


def test_a_mailbox_server_that_greets_is_healthy(tls: ssl.SSLContext) -> None:
    with talking([b"* OK ready\r\n"], answers=IMAP) as port:
        result = ask("imap", of(port, tls="off"), conditions=["[BODY] contains IDLE"])

    assert (result.state, result.reason) == ("healthy", "")


@pytest.mark.parametrize(
    ("password", "reason"),
    [("right", ""), ("wrong", "answers the sign-in with NO [AUTHENTICATIONFAILED] no")],
)
def test_a_sign_in_to_a_mailbox_is_tried_within_tls(
    tls: ssl.SSLContext, password: str, reason: str
) -> None:
    with shaking(tls, inside=[b"* OK ready\r\n"], inside_answers=IMAP) as server:
        config = of(server.port, tls="implicit", username='wat"cher', password=password)
        result = ask("imap", config)

    assert result.reason == reason
    assert result.facts["certificate_ends_at"]


def test_starttls_of_a_mailbox_server_is_done(tls: ssl.SSLContext) -> None:
    answers = {b"a1 STARTTLS\r\n": b"a1 OK begin\r\n"}
    with shaking(tls, first=b"* OK ready\r\n", answers=answers, inside_answers=IMAP) as server:
        result = ask("imap", of(server.port, tls="starttls"))

    assert (result.state, result.reason) == ("healthy", "")


def test_a_greeting_of_a_mailbox_server_that_is_none_is_told(tls: ssl.SSLContext) -> None:
    with talking([b"* BYE full\r\n"]) as port:
        assert ask("imap", of(port, tls="off")).reason == "greets with * BYE full"
