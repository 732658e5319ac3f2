"""What is sent next: the first exchange of a call, and the one that a redirect asks for."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

import httpx2 as httpx

from mainstay_server.kernel.outbound.errors import OutboundError

REDIRECTS = frozenset({301, 302, 303, 307, 308})
SEE_OTHER = 303
HIGHEST_PORT = 65_535
KEEPS_METHOD = frozenset({307, 308})
DEFAULT_PORTS = {"http": 80, "https": 443}
# What another origin may see after a redirect. A list of what is harmless, because any header may
# carry a secret (X-Api-Key, X-Signature…) and nobody can list those.
HARMLESS_HEADERS = frozenset(
    {"accept", "accept-encoding", "accept-language", "content-type", "user-agent"}
)


@dataclass(kw_only=True)
class Exchange:
    """One hop of a call: what is sent next."""

    method: str
    url: httpx.URL
    headers: dict[str, str]
    body: bytes | None


def parsed_url(text: str) -> httpx.URL:
    """Return the URL when it can be called; raises `OutboundError` otherwise."""
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise OutboundError("protocol", f"The address is not a valid URL: {error}.") from None
    if url.scheme not in DEFAULT_PORTS:
        raise OutboundError("blocked", "Only http:// and https:// addresses can be called.")
    if url.port is not None and not 0 < url.port <= HIGHEST_PORT:
        raise OutboundError("protocol", f"There is no port {url.port}; the last is {HIGHEST_PORT}.")
    if not url.host:
        raise OutboundError("protocol", "The address has no host; write https://host/path.")
    return url


def first_exchange(
    method: str, url: httpx.URL, headers: Mapping[str, str] | None, body: bytes | None
) -> Exchange:
    """Return the first hop; credentials of the URL become its authorization."""
    headers = {name.lower(): value for name, value in (headers or {}).items()}
    if url.userinfo and "authorization" not in headers:
        user, _, password = url.userinfo.partition(b":")
        secret = unquote(user.decode()) + ":" + unquote(password.decode())
        headers["authorization"] = "Basic " + base64.b64encode(secret.encode()).decode()
    url = url.copy_with(username=None, password=None)
    return Exchange(method=method, url=url, headers=headers, body=body)


def next_exchange(exchange: Exchange, status: int, headers: Mapping[str, str]) -> Exchange | None:
    """Return the exchange that a redirect asks for, or None when this is the answer."""
    location = headers.get("location")
    if status not in REDIRECTS or not location:
        return None
    url = parsed_url(str(_joined_url(exchange.url, location)))
    url = url.copy_with(username=None, password=None, fragment=None)
    kept = dict(exchange.headers)
    method, body = exchange.method, exchange.body
    if status not in KEEPS_METHOD and (method == "POST" or status == SEE_OTHER):
        method, body = ("HEAD" if method == "HEAD" else "GET"), None
        kept.pop("content-type", None)
    if _origin(url) != _origin(exchange.url):
        kept = {name: value for name, value in kept.items() if name in HARMLESS_HEADERS}
    return Exchange(method=method, url=url, headers=kept, body=body)


def _joined_url(base: httpx.URL, location: str) -> httpx.URL:
    try:
        return base.join(location)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise OutboundError(
            "protocol", f"{base.host} redirected to something that is not a URL: {error}."
        ) from None


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or DEFAULT_PORTS[url.scheme]
