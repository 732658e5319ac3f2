"""The stopwatch of one call: when each of its steps ended, and how much head it has read."""

import time
from contextvars import ContextVar

from mainstay_server.kernel.outbound.errors import OutboundError

# The parser bounds one head; how many interim answers (1xx) come before it, nothing else would.
MOST_HEAD_BYTES = 256 * 1024
READING_BODY = "reading the body"


class Stopwatch:
    """When each step of one call ended, in seconds of the monotonic clock, and what it is doing."""

    def __init__(self) -> None:
        self.restart()
        self.remote_address = ""
        self.certificate_der: bytes | None = None
        self.tls_version = ""

    def restart(self) -> None:
        """Begin a new exchange; of a chain of redirects the last one is measured."""
        now = time.monotonic()
        self.started = self.resolved = self.connected = self.secured = now
        self.doing = "looking up the name"
        self._head_bytes = 0

    def count_head(self, more: int) -> None:
        """Count what came before the body; raises `OutboundError` when that does not end."""
        if self.doing == READING_BODY:
            return
        self._head_bytes += more
        if self._head_bytes > MOST_HEAD_BYTES:
            raise OutboundError(
                "protocol",
                "The other side sends headers or interim answers without an end;"
                " look at what listens there.",
            )


stopwatch: ContextVar[Stopwatch | None] = ContextVar("outbound_stopwatch", default=None)
