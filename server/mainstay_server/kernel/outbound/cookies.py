"""Cookies over the calls of one run: kept and sent by the rules of browsers, and then forgotten."""

from collections.abc import Iterable

import httpx2 as httpx


class CookieJar:
    """What servers set, sent back to those alone that may see it (RFC 6265: domain, path, TLS)."""

    def __init__(self) -> None:
        self._cookies = httpx.Cookies()

    def take(self, url: httpx.URL, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep what an answer from the URL sets."""
        asked = httpx.Request("GET", url)
        self._cookies.extract_cookies(httpx.Response(200, headers=list(headers), request=asked))

    def header_for(self, url: httpx.URL) -> str:
        """The cookie header that a request for the URL has; empty without any."""
        asking = httpx.Request("GET", url)
        self._cookies.set_cookie_header(asking)
        return str(asking.headers.get("cookie", ""))

    def values(self) -> list[str]:
        """All that is kept, which nobody else should see."""
        return [cookie.value for cookie in self._cookies.jar if cookie.value]
