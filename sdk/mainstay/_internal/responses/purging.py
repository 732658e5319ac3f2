"""Tell a CDN what to forget: in the background, bounded, tried again, never in the way."""

import atexit
import http.client
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

from mainstay._internal.sender import pause_seconds
from mainstay._internal.shield import logger

# Called with tags and absolute addresses; what it raises is a failure, and tried again.
Purger = Callable[[Sequence[str], Sequence[str]], object]
T = TypeVar("T")

_TIMEOUT_SECONDS = 10.0
_MOST_WAITING: Final = 1_000
_MOST_TRIES = 5
_AT_EXIT_SECONDS = 2.0
_MOST_ANSWER_BYTES = 65_536
_FASTLY_MOST = 256
_CLOUDFLARE_MOST = 30
_FIRST_ERROR = 400
_NOT_THERE = (404, 410, 412)
_LATER = (408, 425, 429)


class Refused(Exception):
    """The CDN understood, and will not do it: trying again is of no use."""


@dataclass(frozen=True)
class Fastly:
    """Purge a Fastly service by surrogate key and by address; ``soft`` marks as stale only."""

    service: str
    token: str = field(repr=False)
    soft: bool = False
    api: str = "https://api.fastly.com"
    tag_header: str = "surrogate-key"

    def __call__(self, tags: Sequence[str], urls: Sequence[str]) -> None:
        """Purge."""
        headers = {"Fastly-Key": self.token, "Accept": "application/json"}
        if self.soft:
            headers["Fastly-Soft-Purge"] = "1"
        for some in _in_parts(tags, _FASTLY_MOST):
            said = {**headers, "Surrogate-Key": " ".join(some)}
            _ask("POST", f"{self.api}/service/{self.service}/purge", said)
        for url in urls:
            _ask("POST", f"{self.api}/purge/{url.partition('://')[2]}", headers)


@dataclass(frozen=True)
class Cloudflare:
    """Purge a Cloudflare zone by cache tag and by address."""

    zone: str
    token: str = field(repr=False)
    api: str = "https://api.cloudflare.com/client/v4"
    tag_header: str = "cache-tag"

    def __call__(self, tags: Sequence[str], urls: Sequence[str]) -> None:
        """Purge."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        for name, values in (("tags", tags), ("files", urls)):
            for some in _in_parts(values, _CLOUDFLARE_MOST):
                body = json.dumps({name: list(some)}).encode()
                _ask("POST", f"{self.api}/zones/{self.zone}/purge_cache", headers, body)


@dataclass(frozen=True)
class HTTPPurge:
    """Send ``PURGE`` to a Varnish or an nginx at ``base``, under the host of the address.

    Tags go in ``purge_tag_header`` (Varnish's xkey); without one, as nginx, only addresses do.
    """

    base: str
    purge_tag_header: str = ""
    tag_header: str = "xkey"

    def __call__(self, tags: Sequence[str], urls: Sequence[str]) -> None:
        """Purge."""
        if tags and self.purge_tag_header:
            _ask("PURGE", f"{self.base}/", {self.purge_tag_header: " ".join(tags)})
        for url in urls:
            parts = urlsplit(url)
            query = f"?{parts.query}" if parts.query else ""
            _ask("PURGE", f"{self.base}{parts.path or '/'}{query}", {"Host": parts.netloc})


class _Order(NamedTuple):
    purger: Purger
    tags: tuple[str, ...]
    urls: tuple[str, ...]
    tries: int
    due: float


class PurgeQueue:
    """One thread that purges, started with the first order.

    At most 1,000 orders wait, and the oldest give way; each is tried five times, with pauses that
    double. At the end of the program what waits gets two seconds.
    """

    def __init__(self, purgers: Sequence[Purger]) -> None:
        self.purgers = tuple(purgers)
        self._hooked = False
        self.begin_anew()

    def begin_anew(self) -> None:
        """Begin with no orders and a thread of this process."""
        self._orders: deque[_Order] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._busy = False
        self.lost = 0

    def add(self, tags: Sequence[str], urls: Sequence[str]) -> None:
        """Order a purge of every CDN; never waits and never raises."""
        if not self.purgers or not (tags or urls):
            return
        with self._changed:
            for purger in self.purgers:
                self._put(_Order(purger, tuple(tags), tuple(urls), 0, time.monotonic()))
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="mainstay-purge", daemon=True
                )
                self._thread.start()
                if not self._hooked:
                    self._hooked = True
                    atexit.register(self.flush, _AT_EXIT_SECONDS)
            self._changed.notify_all()

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until all orders are done or given up; return whether they are."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._orders and not self._busy, timeout_seconds
            )

    def _put(self, order: _Order) -> None:
        if len(self._orders) >= _MOST_WAITING:
            self._orders.popleft()
            self._lose("more than %d orders wait", _MOST_WAITING)
        self._orders.append(order)

    def _lose(self, why: str, *args: object) -> None:
        self.lost += 1
        logger.warning("A purge of the CDN is given up: " + why + ".", *args)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                order = self._next_due()
                self._busy = True
            self._carry_out(order)

    def _next_due(self) -> _Order:
        while True:
            now = time.monotonic()
            for order in self._orders:
                if order.due <= now:
                    self._orders.remove(order)
                    return order
            soonest = min((order.due for order in self._orders), default=None)
            self._changed.wait(None if soonest is None else soonest - now)

    def _carry_out(self, order: _Order) -> None:
        try:
            order.purger(order.tags, order.urls)
        except Refused as refused:
            with self._changed:
                self._lose("%s", refused)
        except Exception as error:  # noqa: BLE001 - whatever a purger raises, the app goes on
            with self._changed:
                if order.tries + 1 >= _MOST_TRIES:
                    self._lose(
                        "%d tries failed, the last with %s", _MOST_TRIES, type(error).__name__
                    )
                    return
                due = time.monotonic() + pause_seconds(order.tries)
                self._put(order._replace(tries=order.tries + 1, due=due))


def _in_parts(values: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), most):
        yield values[start : start + most]


def _ask(method: str, url: str, headers: dict[str, str], body: bytes = b"") -> None:
    """Send one request; raises `Refused`, or what the network raises."""
    parts = urlsplit(url)
    kind: Any = (
        http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    )
    connection = kind(parts.hostname, parts.port, timeout=_TIMEOUT_SECONDS)
    try:
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.read(_MOST_ANSWER_BYTES)
    finally:
        connection.close()
    if answer.status < _FIRST_ERROR or (method == "PURGE" and answer.status in _NOT_THERE):
        return
    if answer.status < 500 and answer.status not in _LATER:  # noqa: PLR2004 - the server's errors
        raise Refused(f"{parts.hostname} answers {answer.status}")
    raise OSError(f"{parts.hostname} answers {answer.status}")
