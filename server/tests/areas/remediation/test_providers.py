"""The webhook that repairs, against a real receiver."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from mainstay_server.areas.remediation.providers import webhook
from mainstay_server.kernel import outbound
from mainstay_server.kernel.standard_webhooks import signature
from tests.servers.http import Answer, HttpReceiver, http_receiver

__all__ = ["http_receiver"]

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(autouse=True)
def outside() -> Iterator[None]:
    outbound.open_outbound(allow_private=True)
    yield
    outbound.close_outbound()


def test_the_signature_is_that_of_the_specification() -> None:
    # The example of standardwebhooks.com: its secret, id, timestamp and payload.
    body = b'{"test": 2432232314}'
    message = "msg_p5jXN8AQM9LWM0D4loKWxJek"
    signed = signature(SECRET, message, "1614265330", body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("status", "taken"), [(200, True), (204, True), (404, False), (503, False)]
)
def test_what_it_answers_tells_whether_the_try_went_through(
    http_receiver: HttpReceiver, status: int, *, taken: bool
) -> None:
    http_receiver.answer(Answer(status=status))
    went_through, said = webhook.send(
        f"{http_receiver.url}/x", {"type": "x"}, secret=SECRET, key="key-1", now=NOON
    )
    assert went_through is taken
    assert str(status) in said
    (request,) = http_receiver.requests
    assert request.headers["webhook-id"] == "key-1"
