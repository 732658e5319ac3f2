"""uvicorn, ended by a signal without ending the process: what is open is closed afterwards."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

ENDS = (signal.SIGINT, signal.SIGTERM)
MOST_HEAD_BYTES = 64 * 1024


class LimitedProtocol(HttpToolsProtocol):
    """HTTP/1.1 with a limit on the head of a request.

    The parser has none: whoever connects could fill the memory with headers that never end. What
    came in one read with the limit still counts as within it.
    """

    _in_head = False
    _head_bytes = 0

    @override
    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    @override
    def on_headers_complete(self) -> None:
        """The head is whole; what follows is a body, which has limits of its own."""
        self._in_head = False
        super().on_headers_complete()

    @override
    def data_received(self, data: bytes) -> None:
        """Take what arrived; give up a head that is too long."""
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The head of the request is over 64 KiB.")


class HttpServer(uvicorn.Server):
    """Serves until SIGINT or SIGTERM, then returns.

    uvicorn raises the signal once more when it is done, which ends the process before runners are
    stopped and stores are closed. A second SIGINT still cuts open connections.
    """

    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals for the time of serving."""
        loop = asyncio.get_running_loop()
        for number in ENDS:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in ENDS:
                loop.remove_signal_handler(number)
