"""Where processes of one app count together: a file for each, in a folder that they share."""

import contextlib
import mmap
import os
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

_LAYOUT: Final = 1
_MOST_PROCESSES: Final = 256
_PID, _STARTED_US, _HEAD = 0, 1, 2
_BYTES = 8

Cells: TypeAlias = "memoryview[int] | array[int]"


class Slot(NamedTuple):
    """What one process counted; ``pid`` is 0 when it is gone."""

    pid: int
    started_us: int
    cells: "array[int]"


class Slots:
    """A process counts in a file that it alone has locked, and whoever reads sums up all files.

    A process that ends leaves its file, and the next one goes on counting in it: a sum never goes
    back, and there are never more files than there were processes at one time. The kernel writes
    the pages to the disk when it likes; nothing waits for that.

    Raises OSError when the folder cannot be used, and RuntimeError on a system without ``flock``.
    """

    def __init__(self, folder: Path, cells: int) -> None:
        if fcntl is None:
            raise RuntimeError("processes count together only where files can be locked (flock)")
        self._folder = folder
        self._size = (_HEAD + cells) * _BYTES
        self._mine = -1
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def take(self, *, now: float) -> Cells:
        """Lock the first file that is free, and return its cells, to be counted up in place."""
        for number in range(_MOST_PROCESSES):
            name = self._folder / f"requests-{_LAYOUT}-{number:03d}.counts"
            held = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(held)
                continue
            self._mine = held
            os.ftruncate(held, self._size)
            cells = memoryview(mmap.mmap(held, self._size)).cast("Q")
            cells[_PID], cells[_STARTED_US] = os.getpid(), int(now * 1_000_000)
            return cells[_HEAD:]
        raise OSError(f"more than {_MOST_PROCESSES} processes count in {self._folder}")

    def let_go(self) -> None:
        """Close the file that is held; in a forked child that takes nothing from its parent."""
        if self._mine >= 0:
            os.close(self._mine)
            self._mine = -1

    def all(self) -> Iterator[Slot]:
        """Return what each process counted, also those that are gone."""
        for path in sorted(self._folder.glob(f"requests-{_LAYOUT}-*.counts"))[:_MOST_PROCESSES]:
            with contextlib.suppress(OSError), path.open("rb") as file:
                is_alive = _is_locked(file.fileno())
                content = file.read(self._size)
                if len(content) == self._size:
                    cells = array("Q", content)
                    yield Slot(cells[_PID] if is_alive else 0, cells[_STARTED_US], cells[_HEAD:])


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
