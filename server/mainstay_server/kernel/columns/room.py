"""Room on the disk of the embedded engine, and tables that are read again after there was none.

chDB 26.9 takes every write for done, also one that the disk refused: traced on a full disk, each of
the fourteen files of a part got ENOSPC, stayed empty, and the part took the place of those it was
merged from. So what was written while there was no room is not believed: an insert counts as
refused, merges stop before the disk is full, and afterwards each table is read from its files
again. A part whose files are not as long as they should be is set aside then, and the parts it was
merged from, which stay on the disk for half a minute, take its place.
"""

import contextlib
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import structlog

from .refusals import CORRUPTED_DATA, UNKNOWN_TABLE, EngineError

INSERT_BYTES = 4 << 20
WRITTEN_BYTES = 1 << 20
MERGE_BYTES = 32 << 20
LOOK_SECONDS = 0.25
DOUBT_SECONDS = 10  # less than the lifetime of old parts by a wide margin
AGAIN_SECONDS = 5
JUST_SECONDS = 30
_NO_SUCH_FILE = "No such file or directory"
_TABLES = (
    "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
)

log = structlog.get_logger(__name__)


class Room:
    """How much room the engine has, and what follows from having had none. Safe for many threads.

    `command` runs a statement, `rows` answers a question; both raise EngineError.
    """

    def __init__(
        self,
        folder: Path,
        *,
        command: Callable[[str], None],
        rows: Callable[[str, dict[str, Any]], Sequence[dict[str, Any]]],
    ) -> None:
        self._folder = folder
        self._command = command
        self._rows = rows
        self._doubted_at: float | None = None
        self._read_at = -math.inf
        self._short = False
        self._detached: list[str] = []
        self._seats: list[threading.Lock] = []
        self._merging = True
        self._ended = threading.Event()
        self._watching = threading.Thread(target=self._watch, name="columns-room", daemon=True)
        self._watching.start()

    def seat(self) -> threading.Lock:
        """Return what one writer holds `writing` with."""
        seat = threading.Lock()
        self._seats.append(seat)
        return seat

    @contextlib.contextmanager
    def writing(self, seat: threading.Lock) -> Iterator[None]:
        """Write one batch; raises EngineError where it has no room, or may not be on the disk.

        No table is read again meanwhile: it would not see the part that is just being written.
        """
        with seat:
            if self._free_bytes() < INSERT_BYTES:
                raise EngineError("The disk of the column engine is full.", code=None)
            yield
            if self._free_bytes() < WRITTEN_BYTES:
                self._doubt()
                raise EngineError("The disk became full while the batch was written.", code=None)

    def explained(self, error: EngineError) -> EngineError:
        """Return what was meant: a table that is just being read again is away, not unknown.

        So are the files of a question that was asked before: the table detached meanwhile ends
        its merges and takes away what they replaced.
        """
        just_read = bool(self._detached) or time.monotonic() - self._read_at < JUST_SECONDS
        file_gone = _NO_SUCH_FILE in str(error)
        if just_read and (file_gone or error.code == UNKNOWN_TABLE):
            return EngineError("The tables are just being read again.", code=None)
        if not just_read and (file_gone or error.code == CORRUPTED_DATA):
            self._doubt()
        return error

    def close(self) -> None:
        """Stop looking."""
        self._ended.set()
        self._watching.join()

    def _doubt(self) -> None:
        """Have every table read again, soon."""
        self._doubted_at = self._doubted_at or time.monotonic()

    def _free_bytes(self) -> int:
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self._look_again_if_it_fails()

    def _look_again_if_it_fails(self) -> None:
        try:
            self._look()
        except (EngineError, OSError) as error:
            log.warning("the disk could not be looked after; trying again", reason=str(error)[:300])

    def _look(self) -> None:
        free_bytes = self._free_bytes()
        if self._merging and free_bytes < MERGE_BYTES:
            self._command("SYSTEM STOP MERGES")
            self._merging = False
        if self._short != (free_bytes < WRITTEN_BYTES):
            self._short = not self._short
            self._doubt()
        if self._detached or self._should_read(free_bytes, now=time.monotonic()):
            self._read_again()
        elif not self._merging and not self._doubted_at and free_bytes > MERGE_BYTES:
            self._command("SYSTEM START MERGES")
            self._merging = True

    def _should_read(self, free_bytes: int, *, now: float) -> bool:
        """Once there is room, or before the parts that were merged are gone."""
        if self._doubted_at is None or now - self._read_at < AGAIN_SECONDS:
            return False
        return free_bytes >= INSERT_BYTES or now - self._doubted_at > DOUBT_SECONDS

    def _read_again(self) -> None:
        if not self._detached:
            self._doubted_at = None
            self._read_at = time.monotonic()
            self._detached = [row["name"] for row in self._rows(_TABLES, {})]
            log.warning("the disk was full; tables are read again", tables=len(self._detached))
        with contextlib.ExitStack() as nobody_writes:
            for seat in self._seats:
                nobody_writes.enter_context(seat)
            while self._detached:
                name = self._detached[-1]
                with contextlib.suppress(EngineError):  # it is detached since the last look
                    self._command(f"DETACH TABLE `{name}` SYNC")
                self._command(f"ATTACH TABLE `{name}`")
                self._detached.pop()
