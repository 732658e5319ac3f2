"""Streams: pieces of bytes, hashed on the way and made ahead of whoever takes them."""

import fcntl
import hashlib
import io
import os
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, cast

from typing_extensions import Buffer, override

PIECE_BYTES = 512 << 10
PIPE_BYTES = 1 << 20
AHEAD = 4
SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ, which Linux has and Python's fcntl names only there


class Count:
    """How many bytes passed."""

    def __init__(self) -> None:
        self.size_bytes = 0

    def passing(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Give the pieces on, counted."""
        for piece in pieces:
            self.size_bytes += len(piece)
            yield piece


class Tally(Count):
    """How many bytes passed, and their SHA-256."""

    def __init__(self) -> None:
        super().__init__()
        self._hash = hashlib.sha256()

    @override
    def passing(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Give the pieces on, counted and hashed."""
        for piece in super().passing(pieces):
            self._hash.update(piece)
            yield piece

    def to_json(self) -> dict[str, str | int]:
        """What a manifest says of the stream."""
        return {"bytes": self.size_bytes, "sha256": self._hash.hexdigest()}


class _Made(io.RawIOBase):
    """A file over pieces that are made one by one."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer) -> int:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        there = memoryview(buffer).cast("B")
        count = min(len(there), len(self._left))
        there[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def file_of(pieces: Iterable[bytes], *, buffer_bytes: int) -> BinaryIO:
    """The pieces as a file to read from; each is made when it is read."""
    return cast("BinaryIO", io.BufferedReader(_Made(iter(pieces)), buffer_bytes))


def pieces_of(descriptor: int) -> Iterator[bytes]:
    """What can be read, until it ends; a pipe is made wide, for each turn costs two switches."""
    _widen(descriptor)
    while piece := os.read(descriptor, PIECE_BYTES):
        yield piece


def write_all(descriptor: int, pieces: Iterable[bytes]) -> None:
    """Write everything, whatever the pipe takes at once."""
    for piece in pieces:
        view = memoryview(piece)
        while view:
            view = view[os.write(descriptor, view) :]


def wide_pipe() -> tuple[int, int]:
    """A pipe that holds a megabyte where the system allows it."""
    reader, writer = os.pipe()
    _widen(writer)
    return reader, writer


def _widen(descriptor: int) -> None:
    with suppress(OSError):  # no pipe, or more than the system gives
        fcntl.fcntl(descriptor, SET_PIPE_SIZE, PIPE_BYTES)


@contextmanager
def repeating(act: Callable[[], None], *, every_seconds: float) -> Generator[None]:
    """Do something again and again meanwhile, and once more at the end."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(every_seconds):
            act()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
    thread.join()
    act()


@contextmanager
def ahead(pieces: Iterable[bytes]) -> Generator[Iterator[bytes]]:
    """Let a thread of its own make the pieces, a few of them ahead.

    Hashing, compressing and the system's calls leave Python's lock alone, so each stage has a
    core. What a stage raises is raised where its pieces are taken: a stream that broke does not
    look like one that ended.
    """
    waiting: queue.Queue[bytes | BaseException | None] = queue.Queue(AHEAD)
    left = threading.Event()

    def make() -> None:
        last: BaseException | None = None
        try:
            for piece in pieces:
                _put(waiting, piece, left)
        except BaseException as error:  # noqa: BLE001 - told to whoever takes the pieces
            last = error
        _put(waiting, last, left)

    def taken() -> Iterator[bytes]:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    threading.Thread(target=make, daemon=True).start()
    try:
        yield taken()
    finally:
        left.set()


def _put(
    waiting: "queue.Queue[bytes | BaseException | None]",
    item: bytes | BaseException | None,
    left: threading.Event,
) -> None:
    while not left.is_set():
        with suppress(queue.Full):
            waiting.put(item, timeout=1.0)
            return
