"""uvicorn, ended by a signal without ending the process: what is open is closed afterwards."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from typing_extensions import override

ENDS = (signal.SIGINT, signal.SIGTERM)


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
