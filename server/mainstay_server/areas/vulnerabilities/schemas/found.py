"""What a scan says, whatever wrote it: findings and the document they stood in."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mainstay_server.areas.vulnerabilities.models import Severity
from mainstay_server.kernel.problems import Invalid

LONGEST_TITLE, LONGEST_DESCRIPTION = 300, 4000
LONGEST_NAME, LONGEST_LINK, LONGEST_PLACE = 200, 500, 500
MOST_NAMES = 20

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")
_SPACE = re.compile(r"\s+")
_LINK = re.compile(r"https?://[^\s<>\"'`]+", re.IGNORECASE)


@dataclass(kw_only=True)
class Found:
    """One weakness as a scan names it.

    `identity` tells it apart from others of the same tool and rule; for a package it is not used,
    since there the package and the names of the advisory do. `package` is a name in `ecosystem`.
    """

    rule: str
    title: str
    tool: str = ""
    description: str = ""
    severity: Severity = Severity.UNKNOWN
    score: float | None = None
    identity: str = ""
    ecosystem: str = ""
    package: str = ""
    identifiers: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    fixed_in: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    @property
    def subject(self) -> str:
        """The package that it is about, as it is told apart from others; "" for code."""
        return f"{self.ecosystem}/{self.package.lower()}"[:LONGEST_TITLE] if self.package else ""


@dataclass(kw_only=True)
class Document:
    """A whole scan. Without `complete` what it does not name is not known to be gone.

    `found` is gone through once, and no further than a scan may go.
    `suppressed` counts what the scan names and itself says to be nothing, `components` the parts
    of a bill of materials.
    """

    kind: str
    tool: str
    found: Iterable[Found]
    source: str = ""
    complete: bool = True
    scanned_at: datetime | None = None
    suppressed: int = 0
    components: int = 0


class Unreadable(Invalid):
    """The body is no scan that can be read; the sentence says where it went wrong."""

    code = "scan-unreadable"


def one_line(text: object, longest: int = LONGEST_TITLE) -> str:
    """A text on one line without what could disguise it, cut at its longest."""
    plain = _CONTROL.sub("", _SPACE.sub(" ", str(text or "")[: longest * 4])).strip()
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def paragraphs(text: object, longest: int = LONGEST_DESCRIPTION) -> str:
    """A text as it was broken into lines, without what could disguise it, cut at its longest."""
    plain = _CONTROL.sub("", str(text or "")[: longest * 2].replace("\r\n", "\n")).strip()
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def safe_links(texts: Iterable[object]) -> list[str]:
    """The web addresses among some texts, each once; what runs when it is clicked is none."""
    found = [str(text or "").strip() for text in texts]
    good = [text for text in found if len(text) <= LONGEST_LINK and _LINK.fullmatch(text)]
    return list(dict.fromkeys(good))[:MOST_NAMES]


def names(texts: Iterable[object]) -> list[str]:
    """Versions, places or advisories: each once, on one line, twenty at most."""
    cleaned = (one_line(text, LONGEST_NAME) for text in texts)
    return list(dict.fromkeys(text for text in cleaned if text))[:MOST_NAMES]


def moment_of(text: object) -> datetime | None:
    """A time as scanners write it; None for what is none."""
    try:
        found = datetime.fromisoformat(unicodedata.normalize("NFKC", str(text or ""))[:40])
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
