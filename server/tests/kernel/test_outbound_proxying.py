"""The proxy for programs of other makers: it passes on what a call of ours could reach, alone."""

import asyncio
import base64
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
import trustme
from mainstay_server.kernel import outbound
from mainstay_server.kernel.outbound.proxying import Way, proxied
from tests.servers.http import running_http


@pytest.fixture
def open_to_private() -> Iterator[None]:
    outbound.open_outbound(allow_private=True)
    yield
    outbound.close_outbound()


@pytest.fixture
def public_only() -> Iterator[None]:
    outbound.open_outbound(allow_private=False)
    yield
    outbound.close_outbound()


async def ask(way: Way, url: str, *, trust: ssl.SSLContext | None = None) -> httpx.Response:
    proxy = httpx.Proxy(way.url, auth=(way.user, way.password))
    async with httpx.AsyncClient(proxy=proxy, verify=trust or True) as client:
        return await client.get(url)


async def through_a_proxy(url: str, *, trust: ssl.SSLContext | None = None) -> httpx.Response:
    async with proxied() as way:
        return await ask(way, url, trust=trust)


@pytest.mark.usefixtures("open_to_private")
def test_plain_requests_are_passed_on_without_the_password() -> None:
    with running_http() as shop:
        answer = asyncio.run(through_a_proxy(f"{shop.url}/orders?open=1"))

    assert (answer.status_code, answer.text) == (200, "ok")
    (request,) = shop.requests
    assert request.path == "/orders?open=1"
    assert not [name for name in request.headers if name.startswith("proxy-")]


@pytest.mark.usefixtures("open_to_private")
def test_tls_goes_through_from_end_to_end() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with running_http(tls=context) as shop:
        answer = asyncio.run(through_a_proxy(shop.url, trust=trust))

    assert answer.status_code == 200


@pytest.mark.usefixtures("public_only")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_a_call_may_not_reach_the_proxy_does_not_reach_either(scheme: str) -> None:
    with running_http() as inside:
        url = f"{scheme}://127.0.0.1:{inside.port}/"
        if scheme == "https":
            with pytest.raises(httpx.ProxyError, match="403"):
                asyncio.run(through_a_proxy(url))
        else:
            answer = asyncio.run(through_a_proxy(url))
            assert answer.status_code == 403
            assert "private" in answer.text

    assert inside.requests == []


@pytest.mark.usefixtures("open_to_private")
@pytest.mark.parametrize("authorization", ["", "Basic bWFpbnN0YXk6d3Jvbmc="])
def test_nobody_without_the_password_gets_through(authorization: str) -> None:
    async def knock() -> bytes:
        async with proxied() as way:
            where = urlsplit(way.url)
            reader, writer = await asyncio.open_connection(where.hostname, where.port)
            line = f"Proxy-Authorization: {authorization}\r\n" if authorization else ""
            writer.write(f"GET {shop.url}/ HTTP/1.1\r\n{line}\r\n".encode())
            answer = await reader.read()
            writer.close()
            return answer

    assert base64.b64decode("bWFpbnN0YXk6d3Jvbmc=") == b"mainstay:wrong"
    with running_http() as shop:
        assert asyncio.run(knock()).startswith(b"HTTP/1.1 407")
        assert shop.requests == []
