"""The kinds of scans that are read, and which of them a document is."""

from typing import Protocol

from mainstay_server.areas.vulnerabilities.schemas.found import Document
from mainstay_server.areas.vulnerabilities.schemas.heads import Head

from . import cyclonedx, npm_audit, osv, pip_audit, sarif


class Kind(Protocol):
    """A way to write down a scan."""

    name: str

    def recognises(self, head: Head) -> bool:
        """Whether a document whose outermost names these are is one of this kind."""

    def read(self, body: bytes) -> Document:
        """Its findings. Raises `Unreadable` for what is broken, and says where."""


KINDS: tuple[Kind, ...] = (sarif, cyclonedx, npm_audit, pip_audit, osv)
