"""The last good policy on disk, so that an app that starts while the server is away is guarded."""

import hashlib
import hmac
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from mainstay._internal.shield import logger

_PURPOSE = b"mainstay guard policy, saved copy, version 1\n"
_MOST_BYTES = 64 * 1024 * 1024


class SavedPolicy:
    """One file for each server, project and environment, readable for this user alone.

    Its first line is an HMAC over the rest, keyed with the guard key: whoever can write into
    the folder, but does not know the key, cannot plant a policy.
    """

    def __init__(self, folder: Path, *, guard_key: str, whose: str) -> None:
        name = hashlib.sha256(whose.encode()).hexdigest()[:32]
        self._folder = folder
        self._path = folder / f"policy-{name}"
        self._key = hmac.digest(guard_key.encode(), _PURPOSE + whose.encode(), "sha256")

    def load(self) -> tuple[str, bytes] | None:
        """Return the entity tag and the document, or None when there is no copy to be trusted."""
        try:
            if self._path.stat().st_size > _MOST_BYTES:
                return None
            mac, _, rest = self._path.read_bytes().partition(b"\n")
        except OSError:
            return None
        if not hmac.compare_digest(mac, self._mac(rest)):
            logger.warning("The saved guard policy %s is not ours and is not used.", self._path)
            return None
        etag, _, document = rest.partition(b"\n")
        return etag.decode("latin-1"), document

    def store(self, etag: str, document: bytes) -> None:
        """Replace the copy in one step; where nothing can be written there is none."""
        rest = etag.replace("\n", "").encode("latin-1", "replace") + b"\n" + document
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # mkstemp makes the file for this user alone.
            handle, temporary = tempfile.mkstemp(prefix=".policy-", dir=self._folder)
        except OSError as error:
            logger.debug("The guard policy is not saved: %s.", error)
            return
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(self._mac(rest) + b"\n" + rest)
            Path(temporary).replace(self._path)
        except OSError as error:
            logger.debug("The guard policy is not saved: %s.", error)
            with suppress(OSError):
                Path(temporary).unlink()

    def _mac(self, rest: bytes) -> bytes:
        return hmac.digest(self._key, rest, "sha256").hex().encode()
