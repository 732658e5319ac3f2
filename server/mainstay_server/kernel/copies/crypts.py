"""age, in a process of its own: it holds Python's lock all the time, and so nobody minds.

It is forked, not started: the caller has one thread yet, and the fork is there in a millisecond.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyrage
from pyrage import x25519

from mainstay_server.kernel.copies.frames import compressed, decompressed
from mainstay_server.kernel.copies.streams import pieces_of, wide_pipe, write_all

MOST_FILES = 1024
MOST_RECIPIENTS = 20
HEADER_BYTES = 16 << 10
NONCE_BYTES = 16
VERSION_LINE = b"age-encryption.org/v1"

Turn = Callable[[str, str], None]


class CryptFailed(Exception):
    """age refused; the text is its own."""


class Crypt:
    """A forked process that turns what it is fed with into what `turned` gives."""

    def __init__(self, turn: Turn) -> None:
        inner, self._feed = wide_pipe()
        self._taken, outer = wide_pipe()
        self._words, words = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _be_crypt(turn, inner, outer, words)
        for descriptor in (inner, outer, words):
            os.close(descriptor)
        self._feeder: threading.Thread | None = None
        self._broken: BaseException | None = None

    @contextmanager
    def turning(self, pieces: Iterable[bytes]) -> Generator[Iterator[bytes]]:
        """Feed it in a thread, give what it makes, then raise what went wrong on either side."""
        feeder = threading.Thread(target=self._feed_all, args=(pieces,), daemon=True)
        feeder.start()

        def made() -> Iterator[bytes]:
            yield from pieces_of(self._taken)
            feeder.join()
            self._finish()

        yield made()

    def _feed_all(self, pieces: Iterable[bytes]) -> None:
        try:
            write_all(self._feed, pieces)
        except BrokenPipeError:  # it ended by itself and says why
            for _ in pieces:  # whoever counts them counts all
                pass
        except BaseException as error:  # noqa: BLE001 - raised by `turning`, in the caller's thread
            self._broken = error
        os.close(self._feed)

    def _finish(self) -> None:
        with os.fdopen(self._words, "rb") as file:
            words = file.read(1000).decode(errors="replace")
        _, status = os.waitpid(self._pid, 0)
        if self._broken is not None:
            raise self._broken
        if status:
            raise CryptFailed(words or f"it ended with status {status}")


def sealing(recipients: list[str]) -> Crypt:
    """Encrypt for age recipients (`age1…`)."""
    known = [x25519.Recipient.from_str(text) for text in recipients]
    return Crypt(lambda source, target: pyrage.encrypt_file(source, target, known))


def opening(identities: list[str]) -> Crypt:
    """Decrypt with age identities (`AGE-SECRET-KEY-1…`)."""
    known = [x25519.Identity.from_str(text) for text in identities]
    return Crypt(lambda source, target: pyrage.decrypt_file(source, target, known))


def sealed_whole(data: bytes, recipients: Sequence[str]) -> bytes:
    """Something small, compressed and encrypted at once, as a copy is."""
    known = [x25519.Recipient.from_str(text) for text in recipients]
    return bytes(pyrage.encrypt(b"".join(compressed((data,))), known))


def opened_whole(data: bytes, identities: Sequence[str]) -> bytes:
    """What `sealed_whole` sealed; raises `CryptFailed` or `FrameBroken`."""
    known = [x25519.Identity.from_str(text) for text in identities]
    try:
        return b"".join(decompressed((pyrage.decrypt(data, known),)))
    except pyrage.DecryptError as error:
        raise CryptFailed(str(error)) from None


def is_recipient(text: str) -> bool:
    """Whether it is a public key that age encrypts for."""
    with contextlib.suppress(pyrage.RecipientError):
        x25519.Recipient.from_str(text)
        return True
    return False


def new_identity() -> str:
    """A new secret key, `AGE-SECRET-KEY-1…`; nobody keeps it here."""
    return str(x25519.Identity.generate())


def recipient_of(identity: str) -> str | None:
    """The public key of a secret one, or None where it is no secret key of age."""
    with contextlib.suppress(pyrage.IdentityError):
        return str(x25519.Identity.from_str(identity).to_public())
    return None


@dataclass(frozen=True)
class Header:
    """What an age file says before its first chunk: for how many X25519 recipients it is."""

    recipients: int
    size_bytes: int


def header_of(head: bytes) -> Header | None:
    """Read a file's first bytes; None if it is no age file.

    The header is text: a line of the version, two lines or more for each recipient, and a line
    that begins with `---`; a nonce follows it (age-encryption.org/v1).
    """
    version, _, rest = head.partition(b"\n")
    stanzas, found, last = rest.partition(b"\n--- ")
    mac, ended, _ = last.partition(b"\n")
    if version != VERSION_LINE or not found or not ended:
        return None
    size = len(version) + 1 + len(stanzas) + len(found) + len(mac) + 1 + NONCE_BYTES
    return Header((b"\n" + stanzas).count(b"\n-> X25519 "), size)


def _be_crypt(turn: Turn, source: int, target: int, words: int) -> None:
    """Do nothing but age, with no file of the parent's open, and end."""
    status = 1
    try:
        for descriptor in set(range(MOST_FILES)) - {source, target, words}:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        turn(f"/dev/fd/{source}", f"/dev/fd/{target}")
        status = 0
    except BaseException as error:  # noqa: BLE001 - the fork must end here, whatever it was
        with contextlib.suppress(OSError):
            os.write(words, str(error)[:1000].encode())
    finally:
        os._exit(status)
