"""One kept-alive connection to the server."""

import gzip
import http.client
import socket
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from mainstay._internal.dsn import Dsn
from mainstay._internal.message import SDK_NAME, SDK_VERSION

_TIMEOUT_SECONDS = 5.0
# Nobody reads the answer; but it must be read to its end for the connection to be used again.
_MOST_ANSWER_BYTES = 65_536
_LONGEST_PAUSE_SECONDS = 3600.0
# Level 1 costs a third of level 6 and repeats compress well anyway.
_GZIP_LEVEL = 1
# What a server's idle time-out looks like from here: it closed between two batches.
_CLOSED_WHILE_IDLE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)
_POST_HEADERS = {
    "Content-Type": "application/json",
    "Content-Encoding": "gzip",
    "User-Agent": f"{SDK_NAME}/{SDK_VERSION}",
}
# A host name that cannot be encoded raises UnicodeError from inside the resolver.
NO_ANSWER = (OSError, http.client.HTTPException, UnicodeError)


class Answer(NamedTuple):
    """What the server said; ``retry_after_seconds`` is None when it named no time."""

    status: int
    retry_after_seconds: float | None
    etag: str
    body: bytes


class Transport:
    """Asks over one connection. Used by one thread, except for ``interrupt``."""

    def __init__(self, dsn: Dsn, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        self._dsn = dsn
        self._timeout_seconds = timeout_seconds
        self._connection: http.client.HTTPConnection | None = None

    def post(self, path: str, body: bytes, headers: dict[str, str], *, now: float) -> Answer:
        """Send one batch, compressed.

        At least once: a connection that turns out to have been closed while idle is replaced
        and the batch sent again, and the server may have seen the first one.

        ``now`` (Unix seconds) is what a Retry-After given as a date is compared with.

        Raises one of NO_ANSWER when there was none.
        """
        compressed = gzip.compress(body, compresslevel=_GZIP_LEVEL, mtime=0)
        return self._ask("POST", path, compressed, {**_POST_HEADERS, **headers}, now=now)

    def get(self, path: str, headers: dict[str, str], *, most_bytes: int, now: float) -> Answer:
        """Fetch something; an answer longer than ``most_bytes`` comes cut and is of no use.

        Raises one of NO_ANSWER when there was none.
        """
        return self._ask("GET", path, None, headers, now=now, most_bytes=most_bytes)

    def close(self) -> None:
        """Close the connection; the next post opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def interrupt(self) -> None:
        """Make a post that hangs in another thread fail now."""
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
        *,
        now: float,
        most_bytes: int = _MOST_ANSWER_BYTES,
    ) -> Answer:
        reused = self._connection is not None
        try:
            return self._ask_once((method, path, body, headers), most_bytes, now=now)
        except _CLOSED_WHILE_IDLE:
            if not reused:
                raise
            return self._ask_once((method, path, body, headers), most_bytes, now=now)

    def _ask_once(
        self,
        request: tuple[str, str, bytes | None, dict[str, str]],
        most_bytes: int,
        *,
        now: float,
    ) -> Answer:
        connection = self._connection = self._connection or self._open()
        try:
            connection.request(*request)
            response = connection.getresponse()
            body = response.read(most_bytes)
            if not response.isclosed() or response.will_close:
                self.close()
            retry_after = _retry_after(response.getheader("Retry-After"), now=now)
            return Answer(response.status, retry_after, response.getheader("ETag") or "", body)
        except NO_ANSWER:
            self.close()
            raise

    def _open(self) -> http.client.HTTPConnection:
        kind = (
            http.client.HTTPSConnection
            if self._dsn.scheme == "https"
            else http.client.HTTPConnection
        )
        return kind(self._dsn.host, self._dsn.port, timeout=self._timeout_seconds)


def _retry_after(value: str | None, *, now: float) -> float | None:
    """Read seconds or an HTTP date (RFC 9110 §10.2.3), at most an hour."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now
        except ValueError:
            return None
    # "nan" is a float too, and compares false with everything.
    return min(seconds, _LONGEST_PAUSE_SECONDS) if seconds > 0 else 0.0
