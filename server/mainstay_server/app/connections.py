"""How many connections the server holds, and how much of unfinished bodies, at the same time."""

import logging
import resource
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.server import ServerState

from mainstay_server.kernel.networks import network_of
from mainstay_server.kernel.settings import UnsafeSetting

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 20_000
MOST_FILES = 1 << 20  # a limit of a billion would only make others walk through it
# Files of the stores, of health checks and of webhooks, which must never wait for a connection.
OWN_FILES = (256, 2048)
# Of all connections: what one address may hold, when the server grows impatient, and how many more
# than all are told that it is full before the others are just closed.
SHARE_OF_ONE_ADDRESS = 4
CROWDED = 0.8
TOLD_THAT_IT_IS_FULL = 0.05
SECONDS_BETWEEN_WARNINGS = 60.0


class Room(Enum):
    """What awaits a new connection."""

    FREE = "free"
    FULL = "full"
    NONE = "none"


@dataclass
class Figures:
    """What became of connections since the start, for the server's own metrics."""

    refused: int = 0
    ended: Counter[str] = field(default_factory=Counter)


class Crowd(ServerState):
    """The connections that are open now, and their limits.

    `most` are served. A few more are told with 503 that the server is full; beyond those a new
    connection is closed at once. One address, or one IPv6 network of 64 bits, may hold a quarter
    of them, unless it is a proxy in front of many: `proxies`, as in MAINSTAY_TRUSTED_PROXIES.
    `most_arriving_bytes` bounds the bodies that are not answered yet, of all requests together.
    """

    def __init__(self, *, most: int, proxies: str, most_arriving_bytes: int) -> None:
        super().__init__()
        self.most = most
        self.most_of_one = max(1, most // SHARE_OF_ONE_ADDRESS)
        self.most_arriving_bytes = most_arriving_bytes
        self.arriving_bytes = 0
        self.figures = Figures()
        self._trusted = ProxyHeadersMiddleware(_nowhere, proxies).trusted_hosts
        self._of_source: Counter[str] = Counter()
        self._warned_at = float("-inf")

    @property
    def crowded(self) -> bool:
        """Whether nearly all are taken, so that nobody may keep one without using it."""
        return len(self.connections) > self.most * CROWDED

    def enter(self, host: str) -> Room:
        """Count a new connection; to be called when it is among `connections`."""
        source = network_of(host)
        self._of_source[source] += 1
        taken = len(self.connections)
        shared = self._of_source[source] <= self.most_of_one or host in self._trusted
        if taken <= self.most and shared:
            return Room.FREE
        self.figures.refused += 1
        self._warn(host, all_taken=taken > self.most)
        return Room.FULL if taken <= self.most * (1 + TOLD_THAT_IT_IS_FULL) else Room.NONE

    def leave(self, host: str) -> None:
        """Forget a connection that has ended."""
        source = network_of(host)
        self._of_source[source] -= 1
        if not self._of_source[source]:
            del self._of_source[source]

    def _warn(self, host: str, *, all_taken: bool) -> None:
        now = time.monotonic()
        if now - self._warned_at < SECONDS_BETWEEN_WARNINGS:
            return
        self._warned_at = now
        if all_taken:
            log.warning("all %d connections are taken; more are refused with 503", self.most)
        else:
            log.warning("%s holds %d connections; more are refused", host, self.most_of_one)


def allow_files() -> int:
    """Let this process open as many files as its hard limit allows; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return MOST_FILES if soft == resource.RLIM_INFINITY else soft


def most_connections(wanted: int, *, files: int) -> int:
    """How many connections there may be when the process may open so many files.

    `wanted` 0 takes what the files allow, 20,000 at most.

    Raises:
        UnsafeSetting: more are wanted than the files allow.
    """
    least, most = OWN_FILES
    allowed = int((files - min(max(files // 4, least), most)) / (1 + TOLD_THAT_IT_IS_FULL))
    if not wanted:
        return min(allowed, MOST_CONNECTIONS)
    if wanted > allowed:
        raise UnsafeSetting(
            f"MAINSTAY_MAX_CONNECTIONS: {wanted} connections need more open files than the limit of"
            f" {files} leaves, which is {allowed}; raise the limit (ulimit -Hn), or ask for less."
        )
    return wanted


async def _nowhere(scope: object, receive: object, send: object) -> None:
    """No app: only the reading of addresses is wanted of the layer around it."""
