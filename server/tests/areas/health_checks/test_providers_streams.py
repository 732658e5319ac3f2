"""The checks of WebSocket and gRPC services against real servers of both."""

import ssl
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
import trustme
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from mainstay_server.kernel import outbound
from pydantic import ValidationError
from tests.areas.health_checks.worlds import ask
from tests.servers.http import Answer, running_http
from tests.servers.processes import free_port
from tests.servers.talking import talking
from tests.servers.tls import server_tls
from websockets.sync.server import ServerConnection, serve


@pytest.fixture(autouse=True)
def authority() -> Iterator[trustme.CA]:
    made = trustme.CA()
    outbound.open_outbound(allow_private=True, ca_pem=made.cert_pem.bytes().decode())
    yield made
    outbound.close_outbound()


@contextmanager
def running_websocket(tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server that says hello, then answers each message with pong and the message."""

    def talk(connection: ServerConnection) -> None:
        if connection.request is not None and connection.request.headers.get("x-silent"):
            for _ in connection:
                continue
            return
        connection.send("hello")
        for message in connection:
            connection.send(f"pong:{message!s}")

    with serve(talk, "127.0.0.1", 0, ssl=tls) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield int(server.socket.getsockname()[1])
        server.shutdown()
        thread.join()


def test_a_handshake_alone_is_healthy() -> None:
    with running_websocket() as port:
        result = ask(
            "websocket", {"url": f"ws://127.0.0.1:{port}/live"}, conditions=["[STATUS] == 101"]
        )

    assert (result.state, result.reason) == ("healthy", "")


def test_what_is_said_over_tls_is_answered(authority: trustme.CA) -> None:
    with running_websocket(server_tls(authority, "127.0.0.1")) as port:
        config = {"url": f"wss://127.0.0.1:{port}/", "send": "ping", "expect": "pong:ping"}
        result = ask("websocket", config)
        untrusted = ask("websocket", {"url": f"wss://localhost:{port}/"})

    assert (result.state, result.values["BODY"]) == ("healthy", b"pong:ping")
    assert result.facts["certificate_ends_at"]
    assert "certificate" in untrusted.reason


def test_a_message_that_never_comes_is_down() -> None:
    with running_websocket() as port:
        config = {"url": f"ws://127.0.0.1:{port}/", "headers": {"x-silent": "yes"}}
        silent = ask("websocket", config | {"expect": "hello"}, timeout_seconds=1)

    assert (silent.state, silent.reason) == ("unhealthy", "no answer within 1 s")


def test_a_handshake_that_is_refused_is_told_with_its_status() -> None:
    with running_http() as app:
        app.answer(Answer(status=403))
        result = ask("websocket", {"url": app.url.replace("http", "ws")})

    assert (result.state, result.reason) == ("unhealthy", "answers the handshake with 403")


@pytest.mark.parametrize(
    ("says", "reason"),
    [(b"SSH-2.0-x\r\n\r\n", "does not speak WebSocket"), (b"x" * 300_000, "does not speak")],
)
def test_what_is_no_websocket_is_down(says: bytes, reason: str) -> None:
    with talking([says], then_close=True) as port:
        result = ask("websocket", {"url": f"ws://127.0.0.1:{port}/"})

    assert result.state == "unhealthy"
    assert reason in result.reason


def test_a_websocket_that_is_silent_or_away_is_down() -> None:
    with talking([]) as port:
        silent = ask("websocket", {"url": f"ws://127.0.0.1:{port}/"}, timeout_seconds=1)
    away = ask("websocket", {"url": f"ws://127.0.0.1:{free_port()}/"})

    assert (silent.reason, away.reason) == ("no answer within 1 s", "connection refused")


@pytest.mark.parametrize("url", ["http://shop.example", "ws://", "ws://user:word@shop.example"])
def test_an_address_that_is_no_websocket_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        ask("websocket", {"url": url})


@contextmanager
def running_grpc(
    states: Mapping[str, int] | None, tls: trustme.LeafCert | None = None
) -> Iterator[int]:
    """A real gRPC server with the standard health service, unless `states` is None."""
    server = grpc.server(ThreadPoolExecutor(2))
    if states is not None:
        service = health.HealthServicer()
        for name, state in states.items():
            service.set(name, state)
        health_pb2_grpc.add_HealthServicer_to_server(service, server)
    if tls is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        pair = (tls.private_key_pem.bytes(), tls.cert_chain_pems[0].bytes())
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    yield port
    server.stop(None).wait()


STATES = {
    "": health_pb2.HealthCheckResponse.SERVING,
    "shop.Orders": health_pb2.HealthCheckResponse.SERVING,
    "shop.Mails": health_pb2.HealthCheckResponse.NOT_SERVING,
}


def of(port: int, **more: Any) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": port, "tls": False, **more}


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        ("", ""),
        ("shop.Orders", ""),
        ("shop.Mails", "says NOT_SERVING"),
        ("shop.Nothing", "knows no service shop.Nothing"),
    ],
)
def test_a_service_is_what_it_says(service: str, reason: str) -> None:
    with running_grpc(STATES) as port:
        result = ask("grpc", of(port, service=service))

    assert (result.state, result.reason) == ("unhealthy" if reason else "healthy", reason)


def test_a_service_is_asked_over_tls(authority: trustme.CA) -> None:
    with running_grpc(STATES, authority.issue_cert("127.0.0.1")) as port:
        trusted = ask("grpc", of(port, tls=True), conditions=["[STATUS] == SERVING"])
    with running_grpc(STATES, trustme.CA().issue_cert("127.0.0.1")) as port:
        stranger = ask("grpc", of(port, tls=True))
        anyway = ask("grpc", of(port, tls=True, verifyTls=False))

    assert (trusted.state, trusted.reason) == ("healthy", "")
    assert trusted.facts["certificate_ends_at"]
    assert "is not trusted" in stranger.reason
    assert anyway.state == "healthy"


def test_a_server_without_the_health_service_is_told() -> None:
    with running_grpc(None) as port:
        result = ask("grpc", of(port))

    assert result.reason == ("does not implement grpc.health.v1, the standard health service")


def test_what_is_no_grpc_is_down() -> None:
    with running_http() as app:
        web = ask("grpc", of(int(app.url.rpartition(":")[2])))
    with talking([b"\xff" * 200], then_close=True) as port:
        nonsense = ask("grpc", of(port))

    assert (web.state, nonsense.state) == ("unhealthy", "unhealthy")
    assert "HTTP/2" in web.reason or "hung up" in web.reason


def test_a_grpc_server_that_is_silent_or_away_is_down() -> None:
    with talking([]) as port:
        silent = ask("grpc", of(port), timeout_seconds=1)
    away = ask("grpc", of(free_port()))

    assert (silent.reason, away.reason) == ("no answer within 1 s", "connection refused")


def test_an_inner_address_is_not_asked_where_that_is_closed() -> None:
    outbound.close_outbound()
    outbound.open_outbound(allow_private=False)

    assert "may not be reached" in ask("grpc", of(443)).reason
    assert "may not be reached" in ask("websocket", {"url": "ws://127.0.0.1/"}).reason
