"""Filling a small disk, for those who must bear it."""

from contextlib import suppress
from pathlib import Path


def fill(path: Path) -> None:
    """Leave next to nothing free, so that no part of a store fits."""
    with path.open("wb", buffering=0) as filler:
        for size_bytes in (1 << 20, 64 << 10, 4 << 10):
            with suppress(OSError):
                while filler.write(b"x" * size_bytes) == size_bytes:
                    pass
