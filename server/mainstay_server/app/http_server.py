"""uvicorn, ended by a signal without ending the process: what is open is closed afterwards."""

import asyncio
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import cast

import uvicorn
from typing_extensions import override

from mainstay_server.kernel.web.stopping import tell_stopping

from .connections import Crowd
from .http_protocol import LimitedProtocol

ENDS = (signal.SIGINT, signal.SIGTERM)
TURNS_OF_A_SECOND = 10


class HttpServer(uvicorn.Server):
    """Serves until SIGINT or SIGTERM, then returns.

    uvicorn raises the signal once more when it is done, which ends the process before runners are
    stopped and stores are closed. A second SIGINT still cuts open connections.
    """

    def __init__(self, config: uvicorn.Config, crowd: Crowd) -> None:
        super().__init__(config)
        self.server_state: Crowd = crowd
        self._counting: Sequence[LimitedProtocol] = ()

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End, and let those end their wait who keep a request open until something happens."""
        super().handle_exit(sig, frame)
        tell_stopping()

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

    @override
    async def on_tick(self, counter: int) -> bool:
        """Let every connection count the second, a tenth of them at each turn.

        Ten thousand take about 20 ms, for which nobody else should wait at once.
        """
        turn = counter % TURNS_OF_A_SECOND
        if turn == 0:
            self._counting = cast("Sequence[LimitedProtocol]", tuple(self.server_state.connections))
        for connection in self._counting[turn::TURNS_OF_A_SECOND]:
            connection.pass_second()
        return await super().on_tick(counter)
