"""What is in a folder now: walked without following links, and read only where it changed."""

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pyfastcdc import FastCDC

from .entries import FILE, FOLDER, LINK, MODE_BITS, Entry, may_be_synced
from .ignoring import Ignored

# Files up to this are one chunk. Larger ones are cut where their content says so (FastCDC), so that
# an insertion changes one chunk or two and not all that follow.
SMALL_BYTES = 512 << 10
LEAST_BYTES, USUAL_BYTES, MOST_BYTES = 128 << 10, 512 << 10, 2 << 20
READ_BYTES = 8 << 20
TRIES = 3
# A file that was written to within this time before it was read may be written to again without
# its times changing, so it is read again by the next scan.
SETTLED_NS = 1_000_000_000

OnChunk = Callable[[str, bytes | memoryview], None]


class Known(NamedTuple):
    """How a file was when it was read last, and its chunks."""

    size: int
    modified_ns: int
    changed_ns: int
    inode: int
    chunks: tuple[str, ...]


class _Found(NamedTuple):
    path: str
    full: str
    about: os.stat_result


class _Changing(Exception):
    """A file was written to while it was read."""


@dataclass
class Scan:
    """What was found. `skipped` are paths nobody may touch, each with the reason."""

    tree: dict[str, Entry] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    read_bytes: int = 0


def scan(root: Path, ignored: Ignored, known: dict[str, Known], on_chunk: OnChunk) -> Scan:
    """Look at everything in a folder; tell `on_chunk` each chunk of what had to be read."""
    found = Scan()
    for each in _walk(str(root), "", ignored, found):
        mode = each.about.st_mode
        if stat.S_ISREG(mode):
            _take_file(each, known.get(each.path), found, on_chunk)
        elif stat.S_ISLNK(mode):
            found.tree[each.path] = Entry(
                each.path, LINK, MODE_BITS, 0, 0, (), str(Path(each.full).readlink())
            )
        elif stat.S_ISDIR(mode):
            found.tree[each.path] = Entry(each.path, FOLDER, mode & MODE_BITS)
        else:
            found.skipped[each.path] = "is a socket, a pipe or a device"
    return found


def _walk(full: str, path: str, ignored: Ignored, scan: Scan) -> Iterator[_Found]:
    """Everything below a folder but what is ignored; a folder only when nothing is in it."""
    try:
        with os.scandir(full) as listing:
            children = sorted(listing, key=lambda child: child.name)
    except OSError as error:
        scan.skipped[path] = f"cannot be read ({error.strerror})"
        return
    for child in children:
        below = f"{path}/{child.name}" if path else child.name
        is_folder = child.is_dir(follow_symlinks=False)
        if ignored.leaves_out(below, is_folder=is_folder):
            continue
        if not may_be_synced(below):
            _say_why_not(below, scan)
        elif is_folder and not _is_empty(child.path):
            yield from _walk(child.path, below, ignored, scan)
        else:
            try:
                yield _Found(below, child.path, child.stat(follow_symlinks=False))
            except FileNotFoundError:
                continue  # gone between listing and looking


def _is_empty(full: str) -> bool:
    try:
        with os.scandir(full) as listing:
            return next(listing, None) is None
    except OSError:
        return False  # whoever walks into it says why


def _say_why_not(path: str, scan: Scan) -> None:
    if not path.lower().startswith(".mainstay"):
        shown = os.fsencode(path).decode(errors="replace")
        why = "is too long a path" if shown == path else "has a name that is not UTF-8"
        scan.skipped[shown] = why


def _take_file(each: _Found, known: Known | None, scan: Scan, on_chunk: OnChunk) -> None:
    if known is None or known[:4] != _marks(each.about):
        try:
            known = _read(each.full, on_chunk, scan)
        except FileNotFoundError:
            return
        except (OSError, _Changing) as error:
            scan.skipped[each.path] = getattr(error, "strerror", None) or "is being written to"
            return
    mode = stat.S_IMODE(each.about.st_mode) & MODE_BITS
    modified_us = known.modified_ns // 1000
    scan.tree[each.path] = Entry(each.path, FILE, mode, modified_us, known.size, known.chunks)
    scan.known[each.path] = known


def _marks(about: os.stat_result) -> tuple[int, int, int, int]:
    return (about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino)


def _read(full: str, on_chunk: OnChunk, scan: Scan) -> Known:
    """The chunks of a file as it was at one time. Raises `_Changing` when it never holds still."""
    for _ in range(TRIES):
        handle = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            before = os.fstat(handle)
            chunks = _chunks_of(handle, before.st_size, on_chunk)
            after = os.fstat(handle)
        finally:
            os.close(handle)
        scan.read_bytes += after.st_size
        if _marks(before) == _marks(after):
            settled = after.st_mtime_ns < time.time_ns() - SETTLED_NS
            return Known(*_marks(after)[:3], after.st_ino if settled else -1, tuple(chunks))
    raise _Changing


def _chunks_of(handle: int, size: int, on_chunk: OnChunk) -> list[str]:
    if size <= SMALL_BYTES:
        data = os.read(handle, size + 1) if size else b""
        return [_told(data, on_chunk)] if data else []
    return [_told(piece, on_chunk) for piece in cut(handle)]


def cut(handle: int) -> Iterator[bytes]:
    """The pieces of a large file, cut by content, with a few MiB of it in memory."""
    cutter = FastCDC(avg_size=USUAL_BYTES, min_size=LEAST_BYTES, max_size=MOST_BYTES)
    left, ended = b"", False
    while not ended:
        read = os.read(handle, READ_BYTES)
        ended = not read
        buffer = left + read
        if len(buffer) < READ_BYTES and not ended:
            left = buffer
            continue
        left = b""
        for piece in cutter.cut_buf(buffer):
            if not ended and piece.offset + piece.length == len(buffer):
                left = buffer[piece.offset :]  # its end may lie in what comes next
            else:
                yield bytes(piece.data)


def _told(data: bytes, on_chunk: OnChunk) -> str:
    digest = hashlib.sha256(data).hexdigest()
    on_chunk(digest, data)
    return digest
