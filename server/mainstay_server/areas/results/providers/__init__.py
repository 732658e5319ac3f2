"""How each kind of results is read: one file for what it is written in."""

from typing import Protocol

from mainstay_server.areas.results.models import Kind
from mainstay_server.areas.results.schemas.parsed import Parsed

from . import junit, ledger, metrics


class Reader(Protocol):
    """Reads one form of results."""

    def __call__(self, body: bytes) -> Parsed:
        """What it says. Raises `Invalid` for another form, `TooLarge` for too much."""


def reader_of(kind: Kind, body: bytes) -> Reader:
    """How a body of this kind is read: tests are told in JUnit's XML or in JSON."""
    if kind is Kind.ANALYSIS:
        return metrics.read
    if kind is Kind.TEST_REPORT and body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        return junit.read
    return ledger.read
