"""The HTTP probe against a real server that answers well, badly, slowly and not at all."""

import asyncio
import json
import re
import socket
import ssl
import time
from collections.abc import Iterator

import pytest
import trustme
from mainstay_server.areas.health_checks.models import HealthState
from mainstay_server.areas.health_checks.providers import PROVIDERS
from mainstay_server.areas.health_checks.schemas.orders import ProbeOrder, ProbeResult
from mainstay_server.kernel import outbound
from tests.areas.health_checks.worlds import NOON
from tests.servers.http import Answer, HttpReceiver, running_http

JSON = {"content-type": "application/json"}


@pytest.fixture(autouse=True)
def way_out() -> Iterator[None]:
    outbound.open_outbound(allow_private=True)
    yield
    outbound.close_outbound()


@pytest.fixture
def app() -> Iterator[HttpReceiver]:
    with running_http() as receiver:
        yield receiver


def ask(url: str, *, timeout_seconds: int = 60, degraded_after_ms: int = 60_000) -> ProbeResult:
    order = ProbeOrder(
        check_id="check",
        instance_id="instance",
        kind="http",
        url=url,
        interval_seconds=60,
        timeout_seconds=timeout_seconds,
        degraded_after_ms=degraded_after_ms,
        state=HealthState.HEALTHY,
        at=NOON,
    )
    return asyncio.run(PROVIDERS["http"].ask(order))


def a_document(status: str, **parts: str) -> bytes:
    checks = {name: {"status": part, "responseTime": 3} for name, part in parts.items()}
    return json.dumps({"status": status, "version": "1", "checks": checks}).encode()


def test_a_good_answer_is_healthy_and_timed(app: HttpReceiver) -> None:
    result = ask(f"{app.url}/health")

    assert (result.state, result.status_code, result.reason) == ("healthy", 200, "")
    assert result.response_ms > 0
    assert result.first_byte_ms > 0
    (request,) = app.requests
    assert request.method == "GET"
    assert request.headers["user-agent"].startswith("Mainstay/")


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        (Answer(status=204, body=b""), "healthy", ""),
        (Answer(status=404), "unhealthy", "answered 404"),
        (Answer(status=503), "unhealthy", "answered 503"),
        (Answer(headers=JSON, body=a_document("healthy", database="healthy")), "healthy", ""),
        (
            Answer(
                headers=JSON, body=a_document("degraded", database="healthy", memory="degraded")
            ),
            "degraded",
            "says that it is degraded: memory degraded",
        ),
        (
            Answer(headers=JSON, body=a_document("unhealthy", database="unhealthy")),
            "unhealthy",
            "says that it is unhealthy: database unhealthy",
        ),
        (
            Answer(status=503, headers=JSON, body=a_document("unhealthy", database="unhealthy")),
            "unhealthy",
            "answered 503: database unhealthy",
        ),
        (Answer(headers=JSON, body=b'{"status": ["odd"]}'), "healthy", ""),
        (Answer(headers=JSON, body=b"\xff{"), "healthy", ""),
        (Answer(body=b"unhealthy"), "healthy", ""),
    ],
)
def test_an_answer_is_judged_by_status_and_document(
    app: HttpReceiver, answer: Answer, state: str, reason: str
) -> None:
    app.answer(answer)

    result = ask(f"{app.url}/health")

    assert (result.state, result.reason) == (state, reason)


def test_a_slow_answer_is_degraded(app: HttpReceiver) -> None:
    app.answer(Answer(delay_seconds=0.3))

    result = ask(app.url, degraded_after_ms=100)

    assert result.state == "degraded"
    assert re.fullmatch(r"answered in [0-9.]+ s, slower than 0\.1 s", result.reason)


def test_no_answer_in_time_is_unhealthy(app: HttpReceiver) -> None:
    app.answer(Answer(hang=True))

    began = time.monotonic()
    result = ask(app.url, timeout_seconds=1)
    waited_ms = (time.monotonic() - began) * 1000

    assert (result.state, result.reason) == ("unhealthy", "no answer within 1 s")
    assert 1000 <= result.response_ms <= waited_ms
    assert result.conclusive


def test_a_closed_port_is_named_as_people_search_for_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        result = ask(f"http://127.0.0.1:{taken.getsockname()[1]}/")

    assert (result.state, result.status_code, result.reason) == (
        "unhealthy",
        0,
        "connection refused",
    )


def test_a_name_that_does_not_exist_is_told_as_that() -> None:
    result = ask("http://no-such-host.invalid/")

    assert result.state == "unhealthy"
    assert result.reason.startswith("The name no-such-host.invalid could not be resolved")


def test_redirects_are_followed_to_the_answer(app: HttpReceiver) -> None:
    app.answer(Answer(status=302, headers={"location": "/well"}), Answer(status=200))

    assert ask(f"{app.url}/moved").state == "healthy"
    assert [request.path for request in app.requests] == ["/moved", "/well"]


def test_redirects_in_a_circle_are_unhealthy(app: HttpReceiver) -> None:
    app.answer_at("/", Answer(status=302, headers={"location": "/"}))

    result = ask(f"{app.url}/")

    assert result.state == "unhealthy"
    assert "redirected more than 5 times" in result.reason
    assert len(app.requests) == 6


def test_a_certificate_that_nobody_trusts_is_unhealthy() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with running_http(tls=context) as app:
        result = ask(app.url)

    assert result.state == "unhealthy"
    assert result.reason.startswith("The certificate of 127.0.0.1 is not trusted")


def test_of_an_endless_body_only_the_beginning_is_read(app: HttpReceiver) -> None:
    app.answer(Answer(body=b"x" * 1_000_000))

    assert ask(app.url).state == "healthy"
