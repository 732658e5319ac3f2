"""The buffer of a probe: results on its disk, in files of lines, from found until reported.

A line is on the disk before anybody is told of it, a file is deleted once the server has said that
it has it. A kill in between leaves the file: it is sent again, and the server counts it once. When
the disk may hold no more, the oldest file goes, and how many results went with it is reported.
"""

import fcntl
import os
import threading
from dataclasses import dataclass
from pathlib import Path

SEGMENT_BYTES = 1 << 20
SUFFIX = ".jsonl"


class BufferInUse(Exception):
    """Another program uses the folder: two that report the same results would count them twice."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some lines of one file; `again` says that they may have been sent before."""

    path: Path
    lines: list[bytes]
    end: int
    again: bool
    dropped: int


class Buffer:
    """Lines in, batches out, oldest first, in at most so many bytes; safe for threads."""

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._most_bytes = most_bytes
        self._locked = _lock(folder / "lock")
        self._lock = threading.Lock()
        self._new: list[bytes] = []
        self._done: dict[Path, int] = {}
        # What an earlier run left may have been sent by it, and its last line may be half a one.
        self._tried: dict[Path, int] = {path: path.stat().st_size for path in self._files()}
        self._dropped = 0
        self._number = max((int(path.stem) for path in self._files()), default=0)

    def add(self, line: bytes) -> None:
        """Take one result; `flush` puts it on the disk."""
        with self._lock:
            self._new.append(line)

    def flush(self) -> None:
        """Put on the disk what is not there yet."""
        with self._lock:
            self._write_new()

    def next_batch(self, *, most: int) -> Batch | None:
        """Up to so many of the oldest lines, or None; the same ones until they are `done`."""
        with self._lock:
            self._write_new()
            for path in self._files():
                begin = self._done.get(path, 0)
                lines, end = _read(path, begin, most)
                if not lines:
                    self._forget(path)
                    continue
                tried = self._tried.get(path, 0)
                self._tried[path] = max(end, tried)
                return Batch(
                    path=path, lines=lines, end=end, again=begin < tried, dropped=self._dropped
                )
            return None

    def done(self, batch: Batch) -> None:
        """The server has them: they need not be kept."""
        with self._lock:
            self._dropped -= batch.dropped
            if batch.path.exists():
                self._done[batch.path] = batch.end
                if batch.end >= batch.path.stat().st_size:
                    self._forget(batch.path)

    def waiting_bytes(self) -> int:
        """How much waits on the disk."""
        with self._lock:
            return sum(path.stat().st_size for path in self._files())

    def close(self) -> None:
        """Put everything on the disk and let the folder go."""
        self.flush()
        os.close(self._locked)

    def _write_new(self) -> None:
        if not self._new:
            return
        lines, self._new = self._new, []
        with self._growing().open("ab") as file:
            file.write(b"".join(line + b"\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())
        self._make_room()

    def _growing(self) -> Path:
        """The file that is written to: the newest, until it is large or was sent from."""
        path = self._path(self._number)
        if path in self._tried or not path.exists() or path.stat().st_size >= SEGMENT_BYTES:
            self._number += 1
        return self._path(self._number)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:016d}{SUFFIX}"

    def _make_room(self) -> None:
        sizes = {path: path.stat().st_size for path in self._files()}
        held = sum(sizes.values())
        for path, size in sizes.items():
            if held <= self._most_bytes:
                return
            left, _ = _read(path, self._done.get(path, 0), most=size)
            self._dropped += len(left)
            self._forget(path)
            held -= size

    def _forget(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._done.pop(path, None)
        self._tried.pop(path, None)

    def _files(self) -> list[Path]:
        return sorted(path for path in self._folder.glob(f"*{SUFFIX}") if path.stem.isdecimal())


def _read(path: Path, begin: int, most: int) -> tuple[list[bytes], int]:
    """Whole lines from an offset on, and where they end."""
    lines: list[bytes] = []
    with path.open("rb") as file:
        file.seek(begin)
        end = begin
        for line in file:
            if len(lines) >= most or not line.endswith(b"\n"):
                break
            lines.append(line.rstrip(b"\n"))
            end += len(line)
    return lines, end


def _lock(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise BufferInUse(
            f"Another probe uses {path.parent}; give this one its own --data-dir."
        ) from None
    return handle
