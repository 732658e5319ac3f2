"""Make one HTTP call: redirects, deadline, size limit, timings, over the checked network."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TypedDict

import httpcore2 as httpcore
import httpx2 as httpx
from typing_extensions import Unpack

from mainstay_server.kernel.outbound import addresses
from mainstay_server.kernel.outbound.cookies import CookieJar
from mainstay_server.kernel.outbound.decoding import BoundedBody
from mainstay_server.kernel.outbound.errors import OutboundError
from mainstay_server.kernel.outbound.exchanges import (
    Exchange,
    first_exchange,
    next_exchange,
    parsed_url,
)
from mainstay_server.kernel.outbound.gate import Gate, gate
from mainstay_server.kernel.outbound.network import resolve
from mainstay_server.kernel.outbound.timing import READING_BODY, Stopwatch, stopwatch

USER_AGENT = "Mainstay"


class FetchOptions(TypedDict, total=False):
    """How to make one call; see `fetch`."""

    headers: Mapping[str, str] | None
    body: bytes | None
    timeout_seconds: float
    connect_timeout_seconds: float | None
    read_timeout_seconds: float | None
    max_body_bytes: int
    truncate: bool
    follow_redirects: bool
    max_redirects: int
    verify_tls: bool
    reuse: bool
    ip_version: int | None
    client_pem: str
    jar: CookieJar | None
    limited: bool
    public_only: bool


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call as it was ordered."""

    method: str
    url: httpx.URL
    headers: Mapping[str, str] | None = None
    body: bytes | None = None
    timeout_seconds: float = 10.0
    connect_timeout_seconds: float | None = None
    read_timeout_seconds: float | None = None
    max_body_bytes: int = 1_048_576
    truncate: bool = True
    follow_redirects: bool = False
    max_redirects: int = 5
    verify_tls: bool = True
    reuse: bool = False
    ip_version: int | None = None
    client_pem: str = field(default="", repr=False)
    jar: CookieJar | None = None
    limited: bool = True
    public_only: bool = False


@dataclass(frozen=True, kw_only=True)
class Timings:
    """How long each step of the last exchange took, in milliseconds; 0 where a step was skipped.

    `queued` is the wait for one of our own connections and no fault of the other side. `total`
    counts from there, over all redirects, to the last byte.
    """

    queued: float
    resolve: float
    connect: float
    tls: float
    first_byte: float
    transfer: float
    total: float


@dataclass(frozen=True, kw_only=True)
class Response:
    """What came back.

    Header names are in lower case; `headers` joins repeated ones with a comma (RFC 9110 section
    5.2), `raw_headers` keeps them apart. `truncated` tells that the body was longer than allowed.
    `url` is the last one of a chain of redirects, without credentials. `certificate_der` is the
    server's certificate when the connection was new and had TLS, as `tls_version` is that of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool
    timings: Timings
    url: str
    remote_address: str
    raw_headers: tuple[tuple[str, str], ...] = field(repr=False)
    redirects: int = 0
    certificate_der: bytes | None = field(default=None, repr=False)
    tls_version: str = ""
    http_version: str = ""


async def fetch(method: str, url: str, **options: Unpack[FetchOptions]) -> Response:
    """Make one HTTP call and return its answer, whatever its status.

    The call is over, one way or the other, after `timeout_seconds` (10), and before that waits at
    most as long for one of our own connections. `connect_timeout_seconds` and
    `read_timeout_seconds` bound a single step. A body over `max_body_bytes` (1 MiB, decompressed)
    is cut, or refused when `truncate` is false. Redirects are answers unless `follow_redirects`;
    another origin gets no header of yours but harmless ones. `reuse` keeps the connection for the
    next call on this loop, which saves time and makes its connect timings 0.
    `limited` as false takes none of our own connections: the caller keeps a limit of its own.
    `ip_version` (4 or 6) takes addresses of that version alone, `client_pem` (certificate and key)
    is shown to a server that asks who we are; neither is for connections that are kept. `jar` keeps
    the cookies of every hop, and sends those that each may see.
    `public_only` refuses private addresses also where the server's settings allow them, for what a
    stranger may have named.

    Every address is checked on the way, that of a redirect too. Proxies of the environment are
    not used. Raises `OutboundError`.
    """
    call = Call(method=method.upper(), url=parsed_url(url), **options)
    own = call.client_pem or call.ip_version or call.public_only
    assert not (call.reuse and own), "kept for everybody"
    way = gate()
    asked = time.monotonic()
    async with _slot(way, call):
        watch = Stopwatch()
        token = stopwatch.set(watch)
        try:
            async with asyncio.timeout(call.timeout_seconds):
                return await _follow(way, call, watch, queued=watch.started - asked)
        except TimeoutError:
            raise OutboundError(
                "timeout",
                f"{call.url.host} took more than {call.timeout_seconds:g} s "
                f"(while {watch.doing}); check its load, or raise the time-out.",
            ) from None
        finally:
            stopwatch.reset(token)


def fetch_blocking(method: str, url: str, **options: Unpack[FetchOptions]) -> Response:
    """Do what `fetch` does, from a thread that may wait; never call it on an event loop."""
    return gate().run(fetch(method, url, **options))


def refuse_forbidden_host(host: str) -> None:
    """Refuse a host whose very text says that no call may reach it; asks no name service.

    Raises `OutboundError`.
    """
    refusal = "it names a cloud's metadata service, which is never open"
    literal = addresses.parse(host.strip("[]"))
    if literal is not None:
        refused = addresses.refusal_of(literal, allow_private=gate().allow_private)
        if refused is None:
            return
        refusal = refused
    elif not addresses.is_forbidden_name(host):
        return
    raise OutboundError("blocked", f"{host} may not be reached: {refusal}.")


def check_host_blocking(host: str, *, timeout_seconds: float = 5.0) -> list[str]:
    """Refuse a host that no call may reach, for a library that opens its own connections.

    A library may take any of a name's addresses, so all of them must be allowed. Returns them: one
    that asks the name service anew when it connects lets a name get past this that changes its
    mind, so give it one of these where it takes an address. Raises `OutboundError`.
    """

    async def check(way: Gate) -> list[str]:
        async with asyncio.timeout(timeout_seconds):
            found = await resolve(
                host,
                443,
                resolver=way.resolver,
                allow_private=way.allow_private,
                every_one=True,
            )
        return [str(address[0]) for _, address in found]

    way = gate()
    try:
        return way.run(check(way))
    except TimeoutError:
        raise OutboundError("dns", f"The name {host} could not be resolved in time.") from None


def may_reach_private() -> bool:
    """Whether calls may reach loopback, private and reserved addresses, too."""
    return gate().allow_private


def _slot(way: Gate, call: Call) -> AbstractAsyncContextManager[None]:
    if not call.limited:
        return nullcontext()
    return way.slots.one_for(call.url.host, wait_seconds=call.timeout_seconds)


async def _follow(way: Gate, call: Call, watch: Stopwatch, *, queued: float) -> Response:
    exchange = first_exchange(call.method, call.url, call.headers, call.body)
    began = watch.started
    for hop in range(call.max_redirects + 1):
        if hop:
            watch.restart()
        async with _answer(way, call, exchange) as answer:
            first_byte = time.monotonic()
            if call.jar is not None:
                call.jar.take(exchange.url, answer.headers)
            headers = _joined(answer.headers)
            after = (
                next_exchange(exchange, answer.status, headers) if call.follow_redirects else None
            )
            if after is None:
                watch.doing = READING_BODY
                body = await _read(call, answer, headers)
                return Response(
                    status=answer.status,
                    headers=headers,
                    raw_headers=tuple(
                        (name.decode("latin-1"), value.decode("latin-1"))
                        for name, value in answer.headers
                    ),
                    body=body.joined(),
                    truncated=body.truncated,
                    timings=_timings(watch, queued=queued, began=began, first_byte=first_byte),
                    url=str(exchange.url),
                    remote_address=watch.remote_address or _peer(answer),
                    redirects=hop,
                    certificate_der=watch.certificate_der,
                    tls_version=watch.tls_version,
                    http_version=answer.extensions.get("http_version", b"").decode("ascii"),
                )
        exchange = after
    raise OutboundError(
        "too_many_redirects",
        f"{call.url.host} redirected more than {call.max_redirects} times; "
        "give the final address, or look for a loop.",
    )


def _timings(watch: Stopwatch, *, queued: float, began: float, first_byte: float) -> Timings:
    now = time.monotonic()
    return Timings(
        queued=queued * 1000,
        resolve=(watch.resolved - watch.started) * 1000,
        connect=(watch.connected - watch.resolved) * 1000,
        tls=(watch.secured - watch.connected) * 1000,
        first_byte=(first_byte - watch.secured) * 1000,
        transfer=(now - first_byte) * 1000,
        total=(now - began) * 1000,
    )


def _peer(answer: httpcore.Response) -> str:
    """Return whom a reused connection leads to."""
    peer = answer.extensions["network_stream"].get_extra_info("server_addr")
    return "" if peer is None else str(peer[0])


@asynccontextmanager
async def _answer(way: Gate, call: Call, exchange: Exchange) -> AsyncIterator[httpcore.Response]:
    """Send the exchange and yield its answer; what it holds is let go at the end."""
    try:
        request = _request(call, exchange)
    except UnicodeError:
        raise OutboundError(
            "protocol", "A header has a character that HTTP does not allow; use ASCII names."
        ) from None
    sender: httpcore.AsyncConnectionPool | httpcore.AsyncHTTPConnection
    sender = (
        way.pool(verify=call.verify_tls)
        if call.reuse
        else httpcore.AsyncHTTPConnection(
            request.url.origin,
            ssl_context=_tls_of(way, call),
            network_backend=way.dialer.narrowed(
                ip_version=call.ip_version, public_only=call.public_only
            ),
        )
    )
    try:
        answer = await sender.handle_async_request(request)
        try:
            yield answer
        finally:
            if call.reuse:
                await answer.aclose()
    except (httpcore.ProtocolError, httpcore.NetworkError) as error:
        raise OutboundError(
            "protocol",
            f"{exchange.url.host} and we do not understand each other ({error}); "
            "check that HTTP is spoken on this port.",
        ) from None
    finally:
        if not call.reuse:
            await sender.aclose()


def _tls_of(way: Gate, call: Call) -> ssl.SSLContext:
    try:
        return way.tls(verify=call.verify_tls, client_pem=call.client_pem)
    except ssl.SSLError:
        raise OutboundError(
            "tls", "The client certificate is no PEM of a certificate with its key; give both."
        ) from None


def _request(call: Call, exchange: Exchange) -> httpcore.Request:
    url = exchange.url
    headers = {
        "host": url.netloc.decode("ascii"),
        "user-agent": USER_AGENT,
        "accept": "*/*",
        "accept-encoding": "gzip, deflate",
        **exchange.headers,
    }
    if call.jar is not None and (cookies := call.jar.header_for(url)):
        headers["cookie"] = "; ".join(filter(None, (headers.get("cookie"), cookies)))
    if not call.reuse:
        headers["connection"] = "close"
    headers.pop("transfer-encoding", None)
    headers.pop("content-length", None)
    if exchange.body is not None or exchange.method in {"POST", "PUT", "PATCH"}:
        headers["content-length"] = str(len(exchange.body or b""))
    return httpcore.Request(
        exchange.method,
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=[(name.encode("ascii"), value.encode()) for name, value in headers.items()],
        content=exchange.body or b"",
        extensions={
            "timeout": {
                "connect": call.connect_timeout_seconds,
                "read": call.read_timeout_seconds,
            }
        },
    )


async def _read(call: Call, answer: httpcore.Response, headers: Mapping[str, str]) -> BoundedBody:
    body = BoundedBody(headers.get("content-encoding", ""), max_bytes=call.max_body_bytes)
    async for chunk in answer.aiter_stream():
        if not body.add(chunk):
            break
    if body.truncated and not call.truncate:
        raise OutboundError(
            "too_large",
            f"{call.url.host} answered with more than {call.max_body_bytes} bytes; "
            "ask for less, or raise the limit.",
        )
    return body


def _joined(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers
