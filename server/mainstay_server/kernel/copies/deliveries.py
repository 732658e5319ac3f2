"""Deliveries: the same bytes to several destinations, none of which can lose the others."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.copies.destinations import (
    Destination,
    DestinationFailed,
    Upload,
    reason_of,
)

WAITING_PIECES = 8
LOOK_SECONDS = 0.2
FINISH_SECONDS = 600.0
CLOSE_SECONDS = 30.0
SPARE = 1.05  # a dump is rarely exactly as large as was expected


@dataclass(frozen=True)
class Beside:
    """What is put beside the copy once it is there; its manifest makes it a backup."""

    key: str
    data: bytes


class Delivery:
    """One destination with its thread and the few pieces that wait for it.

    It is given pieces, then `prepare`, then `commit` or `abort`. Once it failed it takes all of
    that and does nothing, so the others go on.
    """

    def __init__(
        self, destination: Destination, key: str, *, expected_bytes: int, stall_seconds: float
    ) -> None:
        self._destination, self._key = destination, key
        self._expected_bytes = expected_bytes
        self._stall_seconds = stall_seconds
        self._waiting: queue.Queue[Callable[[], None] | bytes | None] = queue.Queue(WAITING_PIECES)
        self._upload: Upload | None = None
        self.reason: str | None = None
        self.is_delivered = False
        self._thread = threading.Thread(target=self._deliver, daemon=True)
        self._thread.start()

    def give(self, piece: bytes) -> None:
        """Let it have the next piece; one that takes nothing for long has failed."""
        self._send(piece)

    def prepare(self) -> None:
        """Let the last byte reach the store; wait for that."""

        def settle() -> None:
            assert self._upload is not None
            self._upload.prepare()

        self._wait_for(settle)

    def commit(self, besides: Sequence[Beside]) -> None:
        """Show the copy, then what is beside it: an object without its manifest is no backup yet.

        The manifest comes last.
        """

        def show() -> None:
            assert self._upload is not None
            self._upload.commit()
            self._upload = None
            try:
                for beside in besides:
                    self._destination.put(beside.key, beside.data)
            except Exception:
                for key in (self._key, *(beside.key for beside in besides)):
                    with contextlib.suppress(Exception):
                        self._destination.remove(key, now=utc_now())
                raise
            self.is_delivered = True

        self._wait_for(show)

    def close(self) -> None:
        """End the thread, leaving nothing unfinished behind if the store can be reached."""
        if not self.is_delivered and self.reason is None:
            self.reason = "The run was cancelled."
        with contextlib.suppress(queue.Empty):
            while self.reason:
                self._waiting.get_nowait()
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=CLOSE_SECONDS)
        self._thread.join(min(CLOSE_SECONDS, self._stall_seconds))

    def _send(self, item: Callable[[], None] | bytes) -> None:
        deadline = time.monotonic() + self._stall_seconds
        while self.reason is None:
            with contextlib.suppress(queue.Full):
                self._waiting.put(item, timeout=LOOK_SECONDS)
                return
            if time.monotonic() > deadline:
                self.reason = f"It took nothing for {self._stall_seconds:.0f} s."

    def _wait_for(self, act: Callable[[], None]) -> None:
        done = threading.Event()

        def act_and_tell() -> None:
            try:
                act()
            except Exception as error:
                self.reason = reason_of(error)  # before anybody is told that it is done
                raise
            finally:
                done.set()

        self._send(act_and_tell)
        deadline = time.monotonic() + FINISH_SECONDS
        while self.reason is None and not done.wait(LOOK_SECONDS):
            if time.monotonic() > deadline:
                self.reason = f"It did not finish within {FINISH_SECONDS:.0f} s."

    def _deliver(self) -> None:
        try:
            self._refuse_if_full()
            self._upload = self._destination.begin(self._key, expected_bytes=self._expected_bytes)
            while (item := self._waiting.get()) is not None and self.reason is None:
                if isinstance(item, bytes):
                    self._upload.write(item)
                else:
                    item()
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            self.reason = self.reason or reason_of(error)
        if self._upload is not None:
            # Where the store is away nothing can be taken back: the janitor does it later.
            with contextlib.suppress(Exception):
                self._upload.abort()

    def _refuse_if_full(self) -> None:
        free = self._destination.free_bytes()
        if free is not None and free < self._expected_bytes * SPARE:
            raise DestinationFailed(
                f"The disk has {free:,} bytes free and about {self._expected_bytes:,} are needed; "
                "free some space or choose another destination."
            )


def all_failed(deliveries: Iterable[Delivery]) -> bool:
    """Whether nobody is left to write for."""
    return all(each.reason is not None for each in deliveries)
