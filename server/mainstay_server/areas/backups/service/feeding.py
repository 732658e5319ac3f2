"""Feeding: a dump's stream as a descriptor that another process can read."""

import contextlib
import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from mainstay_server.kernel.copies.streams import wide_pipe

PIECE_BYTES = 1 << 20
JOIN_SECONDS = 60.0


class Fed:
    """What the other process reads; `finish` raises what broke the stream, which looks ended."""

    def __init__(self, descriptor: int, feeder: "_Feeder | None") -> None:
        self.descriptor = descriptor
        self._feeder = feeder

    def is_taken(self) -> None:
        """The other process has it by now; ours must not keep it open, or nobody hears its end."""
        if self._feeder is not None:
            self._feeder.let_go()

    def finish(self) -> None:
        """Raise what the stream raised."""
        if self._feeder is not None:
            self._feeder.finish()


class _Feeder:
    """Copies a stream of Python's into a pipe, in a thread of its own."""

    def __init__(self, stream: BinaryIO) -> None:
        self.outer, self._inner = wide_pipe()
        self._stream = stream
        self._error: BaseException | None = None
        self._is_kept = True
        self._thread = threading.Thread(target=self._feed, name="feeding", daemon=True)
        self._thread.start()

    def let_go(self) -> None:
        if self._is_kept:
            os.close(self.outer)
        self._is_kept = False

    def finish(self) -> None:
        self.let_go()
        self._thread.join(JOIN_SECONDS)
        if self._error is not None:
            raise self._error

    def _feed(self) -> None:
        try:
            with os.fdopen(self._inner, "wb", buffering=0) as pipe:
                while piece := self._stream.read(PIECE_BYTES):
                    view = memoryview(piece)
                    while view:
                        view = view[pipe.write(view) or 0 :]
        except BrokenPipeError:  # whoever read it has ended, and says why
            return
        except BaseException as error:  # noqa: BLE001 - raised by `finish`, in the run's thread
            self._error = error


@contextmanager
def fed(stream: BinaryIO) -> Iterator[Fed]:
    """The stream for another process: its own descriptor, or else a pipe that a thread fills."""
    try:
        descriptor = stream.fileno()
    except (io.UnsupportedOperation, AttributeError):
        feeder = _Feeder(stream)
        try:
            yield Fed(feeder.outer, feeder)
        finally:
            with contextlib.suppress(Exception):
                feeder.finish()
        return
    yield Fed(descriptor, None)
