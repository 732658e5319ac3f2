"""What engines tell: fingerprints and how two of them differ, versions, and failures."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, BinaryIO

from mainstay_server.kernel.problems import Invalid

LANE = 1 << 128
CHUNK_BYTES = 1 << 20


class EngineFailed(Exception):
    """Something outside broke; the text says what, without secrets."""


class DumpFailed(EngineFailed):
    """The dump is no whole one."""


class RestoreFailed(EngineFailed):
    """The restore did not come to its end."""


class ScratchFailed(EngineFailed):
    """No scratch server could be started."""


@contextmanager
def failing_as(kind: type[EngineFailed]) -> Iterator[None]:
    """Raise what fails within as one of this kind; its text stays."""
    try:
        yield
    except EngineFailed as error:
        raise kind(str(error)) from None


@dataclass(frozen=True, kw_only=True)
class Versions:
    """What was running when a dump was made, and what it takes to restore it.

    `server` is the version of the target, `tools` of the programs here. `extensions` must be
    installed, and `roles` must exist, where the dump is restored.
    """

    server: str
    tools: str
    extensions: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, order=True)
class Fingerprint:
    """What one table or file holds: how many rows (of a file: bytes), and a digest of them.

    The digest depends neither on the order of rows nor on where they lie on disk: each row's
    canonical text is hashed, and the hashes are added up.
    """

    name: str
    rows: int
    digest: str


Fingerprints = tuple[Fingerprint, ...]


class What(StrEnum):
    """How one table or file differs."""

    MISSING = "missing"
    EXTRA = "extra"
    ROWS = "rows"
    CONTENT = "content"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One table or file that is not as it was; `rows` are those before and after."""

    name: str
    what: What
    rows: tuple[int, int]


def compare(before: Iterable[Fingerprint], after: Iterable[Fingerprint]) -> list[Difference]:
    """What differs, by name; an empty list is the proof that a restore gave everything back."""
    old = {each.name: each for each in before}
    new = {each.name: each for each in after}
    found = []
    for name in sorted(old.keys() | new.keys()):
        was, is_now = old.get(name), new.get(name)
        if was == is_now:
            continue
        if is_now is None:
            what = What.MISSING
        elif was is None:
            what = What.EXTRA
        else:
            what = What.ROWS if was.rows != is_now.rows else What.CONTENT
        rows = (was.rows if was else 0, is_now.rows if is_now else 0)
        found.append(Difference(name=name, what=what, rows=rows))
    return found


class RowSum:
    """Adds up rows into a fingerprint that does not depend on their order."""

    def __init__(self) -> None:
        self._rows = 0
        self._sum = 0

    def add(self, row: bytes) -> None:
        """Count one row in, by its canonical text."""
        digest = hashlib.blake2b(row, digest_size=16).digest()
        self._sum = (self._sum + int.from_bytes(digest, "big")) % LANE
        self._rows += 1

    def named(self, name: str, shape: str = "") -> Fingerprint:
        """The fingerprint; `shape` (the columns and their types) changes the digest, too."""
        return Fingerprint(name, self._rows, digest_of(shape, self._sum))


def digest_of(shape: str, *sums: int) -> str:
    """32 hex digits of a shape and the sums of its rows."""
    text = "\n".join([shape, *(str(each) for each in sums)])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def printable(path: str | bytes) -> str:
    r"""A file's name as text that any document can carry; bytes that are no UTF-8 become `\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def url_of_config(config: Mapping[str, Any]) -> str:
    """The `url` that somebody gave for a target.

    Raises `Invalid` for an `@` too many: a piece of the password would be taken for the host, and
    told as such.
    """
    url = str(config.get("url", ""))
    if url.count("@") > 1:
        raise Invalid(
            "Write an @ of the user or the password as %40: the one @ is before the host."
        )
    return url


class Watched:
    """A stream whose size is known: an archive that was cut between two entries looks whole."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._size = 0

    def read(self, size: int) -> bytes:
        """As the stream itself does."""
        piece = self._stream.read(size)
        self._size += len(piece)
        return piece

    def drain(self) -> int:
        """How long it is, once all of it has been read."""
        while self.read(CHUNK_BYTES):
            pass
        return self._size
