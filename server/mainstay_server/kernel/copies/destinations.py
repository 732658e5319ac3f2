"""Destinations: where copies go, and how each says why it could not take one."""

import errno
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Protocol

from obstore.exceptions import BaseError

UNFINISHED = ".unfinished-"


class DestinationFailed(Exception):
    """A destination did not take or give a copy; the text is one sentence with the next step."""


class CopyMissing(DestinationFailed):
    """There is nothing under the key."""


# What any destination may raise; `reason_of` tells each of them in words.
FAILURES = (DestinationFailed, OSError, BaseError)


class Locked(DestinationFailed):
    """The destination keeps the object until `until`, or until somebody lifts a legal hold."""

    def __init__(self, key: str, until: datetime | None = None) -> None:
        lasts = f"until {until.isoformat()}" if until else "by a legal hold or by its permissions"
        super().__init__(f"{key} is locked {lasts}; it was left where it is.")
        self.until = until


class Upload(Protocol):
    """One object on its way; nobody sees it under its key before `commit`."""

    def write(self, piece: bytes) -> None:
        """Take the next bytes."""

    def prepare(self) -> None:
        """Let what was written reach the store, as far as that goes without showing it."""

    def commit(self) -> None:
        """Show the object under its key, whole."""

    def abort(self) -> None:
        """Leave nothing behind."""


class Destination(Protocol):
    """A place that keeps copies; what fails is a `DestinationFailed`, `OSError` or obstore's."""

    def begin(self, key: str, *, expected_bytes: int) -> Upload:
        """Begin an object that will have about so many bytes (0 where nobody knows)."""

    def put(self, key: str, data: bytes) -> None:
        """Store a small object at once."""

    def stream(self, key: str) -> Iterator[bytes]:
        """Give the object in pieces; raises `CopyMissing` at once."""

    def keys(self, folder: str, *, limit: int = 100_000) -> list[str]:
        """The keys below a folder, in order, without what is unfinished."""

    def remove(self, key: str, *, now: datetime) -> None:
        """Delete the object for good; raises `Locked`. What is not there is no error."""

    def sweep(self, folder: str, *, running: Collection[str] = (), of: str = "") -> list[str]:
        """The janitor: remove what crashed runs left below a folder, except of running keys.

        With `of` only what belongs to keys that hold this word.

        Returns the keys of which something unfinished was removed. Only what was never shown under
        its key is touched.
        """

    def free_bytes(self) -> int | None:
        """How many bytes still fit, or None where there is no such bound."""


def reason_of(error: BaseException) -> str:
    """Why a destination failed, as a person is told it."""
    if isinstance(error, DestinationFailed):
        return str(error)
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "The disk is full; free some space or choose another destination."
    if isinstance(error, PermissionError):
        return f"Writing is not allowed ({error}); give Mainstay's user the right to."
    if isinstance(error, BaseError) or (isinstance(error, OSError) and error.errno is None):
        # obstore's writer says everything as an OSError without a number
        text = " ".join(str(error).split("Debug source")[0].split())
        return f"The store did not answer as it should ({text[:300]}); check that it is reachable."
    return f"{type(error).__name__}: {str(error)[:300]}"
