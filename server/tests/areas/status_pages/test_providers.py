"""The ways to tell a subscriber: what is sent, and what each answer means."""

from collections.abc import Iterator

import pytest
from mainstay_server.areas.status_pages.providers import PROVIDERS, email, webhook
from mainstay_server.areas.status_pages.schemas.parcels import Parcel
from mainstay_server.areas.status_pages.settings import StatusPageSettings
from mainstay_server.kernel import outbound
from mainstay_server.kernel.events import Refused, RetryLater
from mainstay_server.kernel.mailing import SmtpSettings
from mainstay_server.kernel.settings import override_settings
from tests.areas.status_pages.conftest import NOON
from tests.servers.http import Answer, HttpReceiver
from tests.servers.smtp import SmtpServer

SECRET = "whsec_" + "A" * 32


def parcel(kind: str, address: str, challenge: str = "") -> Parcel:
    return Parcel(
        kind=kind,
        address=address,
        secret=SECRET,
        sender_name='Acme, "Inc."',
        at=NOON,
        subject="Slow\nBcc: everybody@ships.example",
        text="Text.",
        html="<p>Text.</p>",
        thread="report",
        unsubscribe_url="https://status.acme.example/subscription/token",
        document={"type": "incident.updated", "challenge": challenge},
        challenge=challenge,
    )


@pytest.fixture(autouse=True)
def _outbound() -> Iterator[None]:
    outbound.open_outbound(allow_private=True)
    override_settings(StatusPageSettings(status_webhooks_private=True))
    yield
    outbound.close_outbound()
    override_settings(StatusPageSettings())


def test_there_is_a_provider_for_each_kind() -> None:
    assert set(PROVIDERS) == {"email", "webhook"}


def test_a_mail_can_be_ended_by_one_click_and_has_one_recipient(smtp: SmtpServer) -> None:
    override_settings(
        SmtpSettings(smtp_host=smtp.host, smtp_port=smtp.port, smtp_from="status@ships.example")
    )

    email.send(parcel("email", "ann@ships.example"), delivery_id="delivery", now=NOON)

    (mail,) = smtp.wait_for(1)
    assert mail.recipients == ("ann@ships.example",)
    assert mail.subject == "Slow Bcc: everybody@ships.example"
    assert mail.message["Bcc"] is None
    assert mail.message["Message-ID"] == "<delivery@ships.example>"
    assert mail.message["List-Unsubscribe"] == "<https://status.acme.example/subscription/token>"
    assert mail.message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail.message["From"] == '"Acme, \\"Inc.\\"" <status@ships.example>'


def test_without_a_mail_server_a_mail_waits() -> None:
    override_settings(SmtpSettings(smtp_host=""))

    with pytest.raises(RetryLater, match="MAINSTAY_SMTP_HOST"):
        email.send(parcel("email", "ann@ships.example"), delivery_id="delivery", now=NOON)


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (Answer(status=204), None),
        (Answer(status=429), RetryLater),
        (Answer(status=503), RetryLater),
        (Answer(close=True), RetryLater),
        (Answer(status=401), RetryLater),
        (Answer(status=404), Refused),
        (Answer(status=302, headers={"location": "http://127.0.0.1/"}), Refused),
    ],
)
def test_each_answer_of_a_webhook_means_something(
    http_receiver: HttpReceiver, answer: Answer, failure: type[Exception] | None
) -> None:
    http_receiver.answer(answer)
    sent = parcel("webhook", f"{http_receiver.url}/hook")

    if failure is None:
        webhook.send(sent, delivery_id="delivery", now=NOON)
    else:
        with pytest.raises(failure):
            webhook.send(sent, delivery_id="delivery", now=NOON)

    assert http_receiver.requests[0].headers["idempotency-key"] == "delivery"


def test_a_webhook_that_says_when_is_not_asked_before(http_receiver: HttpReceiver) -> None:
    http_receiver.answer(Answer(status=429, headers={"retry-after": "120"}))

    with pytest.raises(RetryLater) as raised:
        webhook.send(parcel("webhook", f"{http_receiver.url}/hook"), delivery_id="one", now=NOON)

    assert raised.value.after_seconds == 120


def test_a_challenge_has_to_come_back(http_receiver: HttpReceiver) -> None:
    sent = parcel("webhook", f"{http_receiver.url}/hook", challenge="a-challenge")
    http_receiver.answer(Answer(body=b'{"challenge": "a-challenge"}'), Answer(body=b"ok"))

    webhook.send(sent, delivery_id="one", now=NOON)
    with pytest.raises(Refused, match="challenge"):
        webhook.send(sent, delivery_id="two", now=NOON)


def test_private_addresses_are_closed_to_webhooks_even_where_others_may_go(
    http_receiver: HttpReceiver,
) -> None:
    override_settings(StatusPageSettings())

    with pytest.raises(Refused):
        webhook.send(
            parcel("webhook", f"{http_receiver.url}/hook"), delivery_id="delivery", now=NOON
        )
    assert http_receiver.requests == []
