"""Mail through Resend: what it is handed, and what its answers mean."""

import base64
import json
from collections.abc import Iterator
from email.message import EmailMessage

import pytest
from mainstay_server.kernel import outbound
from mainstay_server.kernel.events import Refused, RetryLater
from mainstay_server.kernel.mailing import SmtpSettings, hand_over, why_no_mail
from mainstay_server.kernel.settings import override_settings
from pydantic import SecretStr, ValidationError
from tests.servers.http import Answer, HttpReceiver, http_receiver

__all__ = ["http_receiver"]

KEY = SecretStr("re_123")


@pytest.fixture
def resend(http_receiver: HttpReceiver) -> Iterator[HttpReceiver]:
    """Resend, played by a receiver."""
    override_settings(
        SmtpSettings(
            resend_api_key=KEY, resend_url=http_receiver.url, smtp_from="Mainstay <m@ships.example>"
        )
    )
    outbound.open_outbound(allow_private=True)
    yield http_receiver
    outbound.close_outbound()


def a_mail() -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "Grüße"
    message["From"] = "Mainstay <m@ships.example>"
    message["To"] = "Crew <crew@ships.example>, mate@ships.example"
    message["Reply-To"] = "harbour@ships.example"
    message["Message-ID"] = "<delivery-1@ships.example>"
    message["References"] = "<alert-1@ships.example>"
    message["List-Unsubscribe"] = "<https://ships.example/u>"
    message.set_content("Plain words.\n")
    message.add_alternative("<p>Rich words.</p>", subtype="html")
    return message


def test_a_mail_is_handed_to_resend_whole_under_a_key_of_its_own(resend: HttpReceiver) -> None:
    resend.answer(Answer(body=b'{"id": "49a3999c"}'))
    mail = a_mail()
    mail.add_attachment(b"\x00\x01", maintype="application", subtype="x-log", filename="a.log")

    hand_over(mail)

    (request,) = resend.requests
    assert request.path == "/emails"
    assert request.headers["authorization"] == "Bearer re_123"
    assert request.headers["idempotency-key"] == "delivery-1@ships.example"
    assert json.loads(request.body) == {
        "from": "Mainstay <m@ships.example>",
        "to": ["crew@ships.example", "mate@ships.example"],
        "reply_to": ["harbour@ships.example"],
        "subject": "Grüße",
        "text": "Plain words.\n",
        "html": "<p>Rich words.</p>\n",
        "headers": {
            "Message-ID": "<delivery-1@ships.example>",
            "References": "<alert-1@ships.example>",
            "List-Unsubscribe": "<https://ships.example/u>",
        },
        "attachments": [
            {
                "filename": "a.log",
                "content": base64.b64encode(b"\x00\x01").decode(),
                "content_type": "application/x-log",
            }
        ],
    }


def test_a_mail_without_a_name_has_a_key_all_the_same(resend: HttpReceiver) -> None:
    for _ in range(2):
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "m@ships.example", "a@ships.example", "Once"
        mail.set_content("words")
        hand_over(mail)
    first, second = (request.headers["idempotency-key"] for request in resend.requests)
    assert first == second
    assert len(first) == 64


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (429, b'{"name": "rate_limit_exceeded"}', RetryLater),
        (500, b"", RetryLater),
        (401, b'{"name": "missing_api_key"}', RetryLater),
        (403, b'{"name": "invalid_api_key"}', RetryLater),
        (409, b'{"name": "concurrent_idempotent_requests"}', RetryLater),
        (409, b"not json", RetryLater),
        (409, b'{"name": "invalid_idempotent_request"}', Refused),
        (422, b'{"name": "validation_error", "message": "Invalid `to` field."}', Refused),
    ],
)
def test_what_resend_answers_says_whether_to_try_again(
    resend: HttpReceiver, status: int, body: bytes, failure: type[Exception]
) -> None:
    resend.answer(Answer(status=status, body=body))
    with pytest.raises(failure, match=str(status)):
        hand_over(a_mail())


def test_resend_is_left_alone_for_as_long_as_it_asks_and_tried_again_when_it_hangs_up(
    resend: HttpReceiver,
) -> None:
    resend.answer(Answer(status=429, headers={"Retry-After": "7"}), Answer(close=True))
    with pytest.raises(RetryLater) as refusal:
        hand_over(a_mail())
    assert refusal.value.after_seconds == 7
    with pytest.raises(RetryLater):
        hand_over(a_mail())
    hand_over(a_mail())
    assert {request.headers["idempotency-key"] for request in resend.requests} == {
        "delivery-1@ships.example"
    }


def test_no_failure_quotes_the_key(resend: HttpReceiver) -> None:
    resend.stop()
    with pytest.raises(RetryLater) as refusal:
        hand_over(a_mail())
    assert "re_123" not in str(refusal.value)
    resend.start()


def test_without_either_way_mail_waits_and_says_which_to_set_up() -> None:
    override_settings(SmtpSettings())
    assert "MAINSTAY_SMTP_HOST or MAINSTAY_RESEND_API_KEY" in why_no_mail()
    with pytest.raises(RetryLater, match="MAINSTAY_RESEND_API_KEY"):
        hand_over(a_mail())


def test_two_ways_at_once_and_a_sender_that_resend_cannot_know_are_refused() -> None:
    with pytest.raises(ValidationError, match="give one of them"):
        SmtpSettings(resend_api_key=KEY, smtp_host="mail.example", smtp_from="m@ships.example")
    with pytest.raises(ValidationError, match="MAINSTAY_SMTP_FROM"):
        SmtpSettings(resend_api_key=KEY)
