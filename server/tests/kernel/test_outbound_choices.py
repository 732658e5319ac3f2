"""What a caller may choose of a call: the version of IP, and the certificate that it shows."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from mainstay_server.kernel import outbound
from mainstay_server.kernel.outbound import CookieJar, OutboundError
from tests.servers.http import Answer, HttpReceiver, running_http


@pytest.fixture(autouse=True)
def way_out() -> Iterator[None]:
    outbound.open_outbound(allow_private=True)
    yield
    outbound.close_outbound()


@pytest.fixture
def both_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """`both.test` has an address of each version of IP."""

    def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        assert host == "both.test"
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.mark.usefixtures("both_versions")
@pytest.mark.parametrize(("host", "version"), [("127.0.0.1", 4), ("::1", 6)])
def test_only_addresses_of_the_version_asked_for_are_called(host: str, version: int) -> None:
    with running_http(host=host) as receiver:
        url = f"http://both.test:{receiver.port}/"

        answer = asyncio.run(outbound.fetch("GET", url, ip_version=version))

        assert answer.remote_address == host
        with pytest.raises(OutboundError):
            asyncio.run(outbound.fetch("GET", url, ip_version=10 - version))


def test_a_name_without_such_an_address_says_so() -> None:
    with pytest.raises(OutboundError) as refused:
        asyncio.run(outbound.fetch("GET", "http://127.0.0.1:1/", ip_version=6))

    assert refused.value.kind == "dns"
    assert "has no IPv6 address" in refused.value.reason


@pytest.fixture
def asks_for_a_certificate(tmp_path: Path) -> Iterator[tuple[HttpReceiver, str]]:
    """A server that lets nobody in without a certificate of its authority, and such a one."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    pem = authority.issue_cert("probe@shop.example").private_key_and_cert_chain_pem.bytes()
    with running_http(tls=context) as receiver:
        yield receiver, pem.decode()


def test_a_client_certificate_opens_a_server_that_asks_for_one(
    asks_for_a_certificate: tuple[HttpReceiver, str],
) -> None:
    receiver, pem = asks_for_a_certificate

    answer = asyncio.run(outbound.fetch("GET", receiver.url, verify_tls=False, client_pem=pem))

    assert answer.status == 200
    with pytest.raises(OutboundError):
        asyncio.run(outbound.fetch("GET", receiver.url, verify_tls=False))


def test_what_is_no_certificate_is_refused_in_words() -> None:
    with pytest.raises(OutboundError) as refused:
        asyncio.run(outbound.fetch("GET", "https://127.0.0.1:1/", client_pem="nonsense"))

    assert refused.value.kind == "tls"
    assert "no PEM" in refused.value.reason


def test_a_jar_keeps_the_cookies_of_every_hop_and_sends_them_where_they_belong() -> None:
    with running_http() as shop, running_http(host="127.0.0.2") as elsewhere:
        shop.answer(
            Answer(status=302, headers={"location": "/home", "set-cookie": "session=s3; Path=/"}),
            Answer(status=200),
        )
        jar = CookieJar()

        async def log_in_and_look_around() -> None:
            await outbound.fetch("POST", f"{shop.url}/login", jar=jar, follow_redirects=True)
            await outbound.fetch("GET", f"{shop.url}/orders", jar=jar, headers={"cookie": "own=1"})
            await outbound.fetch("GET", elsewhere.url, jar=jar)

        asyncio.run(log_in_and_look_around())

        sent = [request.headers.get("cookie") for request in shop.requests]
        assert sent == [None, "session=s3", "own=1; session=s3"]
        assert "cookie" not in elsewhere.requests[0].headers
        assert jar.values() == ["s3"]
