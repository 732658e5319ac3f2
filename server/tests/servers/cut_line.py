"""A line that is cut: a TCP proxy that passes so many bytes on and then nothing any more."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial


class CutLine:
    """Passes bytes to a port until `cut_after` of them went there, then drops everybody.

    With `answers` those that come back are counted.
    """

    def __init__(self, port: int, *, cut_after: int, answers: bool = False) -> None:
        self._to, self._left, self._counts_answers = port, cut_after, answers
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        self._drop()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self._left <= 0:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._to))
                self._open += [near, far]
                for source, target in ((near, far), (far, near)):
                    counts = (source is far) is self._counts_answers
                    passing = partial(self._pass, source, target, counts=counts)
                    threading.Thread(target=passing, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, *, counts: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                with self._lock:
                    self._left -= len(piece) if counts else 0
                if self._left <= 0:
                    self._drop()
                    return
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)

    def _drop(self) -> None:
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
                each.close()


@contextmanager
def cut_line(port: int, *, cut_after: int, answers: bool = False) -> Iterator[CutLine]:
    line = CutLine(port, cut_after=cut_after, answers=answers)
    try:
        yield line
    finally:
        line.close()
