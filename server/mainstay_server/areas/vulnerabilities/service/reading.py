"""Bytes in, a scan out: which kind of document it is, and each weakness that it names, once."""

import codecs
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from mainstay_server.areas.vulnerabilities.providers import KINDS
from mainstay_server.areas.vulnerabilities.schemas.found import Document, Unreadable
from mainstay_server.areas.vulnerabilities.schemas.heads import read_head
from mainstay_server.areas.vulnerabilities.settings import VulnerabilitySettingsOfServer
from mainstay_server.kernel.problems import TooLarge, TooManyRequests
from mainstay_server.kernel.settings import of

from .identities import Identified, identified

# A scan of 32 MiB is some 200 MiB while it is read, so few are read at once.
READ_AT_ONCE = 2
# Scans of 32 MiB have some 1.5 million; a body of empty brackets would have ten times as many, and
# fill the memory with them.
MOST_PARTS = 2_500_000
WAIT_SECONDS = 20
GZIP_MAGIC = b"\x1f\x8b"
_reading = threading.BoundedSemaphore(READ_AT_ONCE)


@dataclass(frozen=True, kw_only=True)
class Read:
    """A scan with its findings, each with what tells it apart."""

    document: Document
    findings: list[Identified]


def read_scan(body: bytes) -> Read:
    """A scan of any kind that is known, recognised by what is in it.

    Raises:
        Unreadable: it is of no known kind, or broken; says where.
        TooLarge: it names more findings than a scan may.
        TooManyRequests: others are being read and did not end soon.
    """
    with _one_of_few():
        document = _document(_as_utf8(body))
        most = of(VulnerabilitySettingsOfServer).vulnerabilities_per_upload
        found = list(islice(document.found, most + 1))
        if len(found) > most:
            raise TooLarge(
                f"The scan names more than {most:,} findings; leave out the least grave, or upload"
                " it in parts that name a source of their own."
            )
        return Read(document=document, findings=identified(found, document.tool))


def _document(body: bytes) -> Document:
    if sum(body.count(mark) for mark in (b"{", b"[", b",")) > MOST_PARTS:
        raise TooLarge(
            f"The scan has more than {MOST_PARTS:,} parts, many of which say nothing;"
            " leave out what names no finding."
        )
    head = read_head(body)
    for kind in KINDS:
        if kind.recognises(head):
            return kind.read(body)
    raise Unreadable(
        "That is no scan of a kind that is read: SARIF 2.1.0, CycloneDX, OSV, pip-audit or npm"
        " audit, each as JSON. Look at the scanner's option for its output format."
    )


def _as_utf8(body: bytes) -> bytes:
    """The body without a byte order mark; Windows shells write theirs, and UTF-16 at that."""
    if not body.strip():
        raise Unreadable("The body is empty; send what the scanner wrote, such as with curl -T.")
    if body.startswith(GZIP_MAGIC):
        raise Unreadable("The body is packed; say so with the header Content-Encoding: gzip.")
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return body.decode("utf-16").encode()
        except UnicodeError:
            raise Unreadable("The scan is broken UTF-16; write it as UTF-8.") from None
    return body.removeprefix(codecs.BOM_UTF8)


@contextmanager
def _one_of_few() -> Iterator[None]:
    if not _reading.acquire(timeout=WAIT_SECONDS):
        raise TooManyRequests(
            "Other scans are being read; send it again in a moment.",
            code="scans-full",
            retry_after_seconds=WAIT_SECONDS,
        )
    try:
        yield
    finally:
        _reading.release()
