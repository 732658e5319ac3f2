"""The HTTP check as it can be told to ask: methods, headers, bodies, users, redirects, statuses."""

import base64
import ssl
from collections.abc import Iterator

import pytest
import trustme
from mainstay_server.areas.health_checks.providers import PROVIDERS
from mainstay_server.kernel import outbound
from pydantic import ValidationError
from tests.areas.health_checks.worlds import ask
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


def test_method_headers_and_body_go_out_with_their_secrets_filled_in(app: HttpReceiver) -> None:
    result = ask(
        "http",
        {
            "url": f"{app.url}/search?key={{{{key}}}}",
            "method": "POST",
            "headers": {"X-Api-Key": "{{ key }}", "Host": "shop.example"},
            "body": '{"q": "ping", "key": "{{key}}"}',
            "secrets": {"key": "s3cr3t"},
        },
    )

    assert result.state == "healthy"
    (request,) = app.requests
    assert (request.method, request.path) == ("POST", "/search?key=s3cr3t")
    assert request.body == b'{"q": "ping", "key": "s3cr3t"}'
    assert request.headers["x-api-key"] == "s3cr3t"
    assert request.headers["host"] == "shop.example"
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("config", "sent"),
    [
        (
            {"username": "probe", "password": "pass:word"},
            "Basic " + base64.b64encode(b"probe:pass:word").decode(),
        ),
        ({"bearerToken": "t0ken"}, "Bearer t0ken"),
    ],
)
def test_it_says_who_it_is(app: HttpReceiver, config: dict[str, str], sent: str) -> None:
    ask("http", {"url": app.url, **config})

    assert app.requests[0].headers["authorization"] == sent


@pytest.mark.parametrize(
    ("accepted", "status", "reason"),
    [
        (["401"], 401, ""),
        (["200-299", "404"], 404, ""),
        (["200-299"], 302, "answered 302, not 200-299"),
        (["204"], 200, "answered 200, not 204"),
        ([], 500, "answered 500"),
    ],
)
def test_the_statuses_that_are_good_can_be_said(
    app: HttpReceiver, accepted: list[str], status: int, reason: str
) -> None:
    app.answer(Answer(status=status))

    result = ask("http", {"url": app.url, "acceptedStatuses": accepted, "followRedirects": False})

    assert (result.reason, result.state) == (reason, "unhealthy" if reason else "healthy")


def test_a_redirect_can_be_expected_followed_or_limited(app: HttpReceiver) -> None:
    app.answer_at("/old", Answer(status=301, headers={"location": "/new"}))
    here = {"url": f"{app.url}/old"}

    assert ask("http", {**here, "redirectTo": "/new"}).state == "healthy"
    assert ask("http", {**here, "redirectTo": "/new", "followRedirects": False}).state == "healthy"
    elsewhere = ask("http", {**here, "redirectTo": "/home", "followRedirects": False})
    assert elsewhere.reason == "leads to /new, not to /home"
    limited = ask("http", {**here, "maxRedirects": 0})
    assert "redirected more than 0 times" in limited.reason


def test_a_server_that_asks_who_we_are_is_shown_the_certificate() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    pem = authority.issue_cert("probe@shop.example").private_key_and_cert_chain_pem.bytes()
    with running_http(tls=context) as shop:
        config = {"url": shop.url, "verifyTls": False}

        assert ask("http", {**config, "clientCertificate": pem.decode()}).state == "healthy"
        assert ask("http", config).state == "unhealthy"


def test_the_times_of_each_step_and_the_end_of_the_certificate_are_told() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with running_http(tls=context) as shop:
        shop.answer(Answer(delay_seconds=0.1))
        result = ask("http", {"url": f"https://localhost:{shop.port}/", "verifyTls": False})

    steps = (result.resolve_ms, result.connect_ms, result.tls_ms, result.first_byte_ms)
    assert all(took > 0 for took in steps)
    assert result.first_byte_ms >= 100
    assert sum(steps) + result.transfer_ms == pytest.approx(result.response_ms, abs=50)
    assert isinstance(result.facts["certificate_ends_at"], float)


def test_the_parts_of_a_health_document_are_told_by_name(app: HttpReceiver) -> None:
    app.answer(
        Answer(
            headers=JSON,
            body=b'{"status": "degraded", "checks": {'
            b'"database": {"status": "healthy", "responseTime": 3.5},'
            b'"queue": {"status": "degraded", "message": "400 waiting"}, "odd": 7}}',
        )
    )

    result = ask("http", {"url": app.url})

    assert (result.state, result.reason) == (
        "degraded",
        "says that it is degraded: queue degraded",
    )
    told = [(part.name, part.state, part.response_ms, part.reason) for part in result.parts]
    assert told == [
        ("database", "healthy", 3.5, ""),
        ("queue", "degraded", None, "400 waiting"),
    ]


def test_a_document_can_be_read_over(app: HttpReceiver) -> None:
    app.answer(Answer(headers=JSON, body=b'{"status": "unhealthy", "checks": {}}'))

    assert ask("http", {"url": app.url, "healthDocument": False}).state == "healthy"


def test_what_goes_wrong_tells_no_secret(app: HttpReceiver) -> None:
    app.answer(Answer(status=302, headers={"location": "/reset?key=s3cr3t"}))
    config = {
        "url": f"{app.url}/{{{{key}}}}",
        "secrets": {"key": "s3cr3t"},
        "redirectTo": "/home",
        "followRedirects": False,
    }

    result = ask("http", config)

    assert result.reason == "leads to /reset?key=•••, not to /home"
    http = PROVIDERS["http"]
    assert http.target_of(http.Config.model_validate(config)) == f"{app.url}/{{{{key}}}}"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"headers": {"bad name": "x"}}, "cannot be set"),
        ({"headers": {"x": "a\r\nb: c"}}, "line end"),
        ({"headers": {"Content-Length": "5"}}, "cannot be set"),
        ({"acceptedStatuses": ["2xx"]}, "no status"),
        ({"bearerToken": "a", "username": "b"}, "not both"),
        ({"body": "{{nothing}}"}, "no secret nothing"),
        ({"url": "https://{{host}}.example/", "secrets": {"host": "x"}}, "in the host"),
        ({"method": "TRACE"}, "method"),
        ({"maxRedirects": 50}, "maxRedirects"),
    ],
)
def test_what_cannot_be_asked_is_refused_before(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        PROVIDERS["http"].Config.model_validate({"url": "https://shop.example/", **wrong})
