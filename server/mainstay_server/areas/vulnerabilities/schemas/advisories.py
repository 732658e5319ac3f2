"""Names of advisories: which is one, which is best known, and where it is written about."""

import re
from collections.abc import Iterable
from urllib.parse import quote

from .found import names

_KNOWN = re.compile(
    r"(?:CVE-\d{4}-\d{4,}|GHSA(?:-[0-9a-z]{4}){3}|PYSEC-\d{4}-\d+|RUSTSEC-\d{4}-\d+|GO-\d{4}-\d+"
    r"|OSV-\d{4}-\d+|MAL-\d{4}-\d+|DSA-\d+(?:-\d+)?|DLA-\d+(?:-\d+)?|RHSA-\d{4}:\d+|USN-\d+(?:-\d+)?)",
    re.IGNORECASE,
)
_ORDER = ("CVE", "GHSA", "PYSEC", "RUSTSEC", "GO")
_PAGES = {
    "CVE": "https://nvd.nist.gov/vuln/detail/",
    "GHSA": "https://github.com/advisories/",
}


def identifiers_of(texts: Iterable[object]) -> list[str]:
    """The names of one advisory, the best known first: CVE, then GHSA, then all others."""
    found = names(_spelled(str(text or "").strip()) for text in texts)
    return sorted(found, key=_rank)


def advisories_in(text: str) -> list[str]:
    """The names of advisories that a text mentions."""
    return identifiers_of(match[0] for match in _KNOWN.finditer(text[:2000]))


def pages_of(identifiers: Iterable[str]) -> list[str]:
    """Where advisories are written about."""
    pages = []
    for name in identifiers:
        kind = name.partition("-")[0]
        if _KNOWN.fullmatch(name):
            pages.append(_PAGES.get(kind, "https://osv.dev/vulnerability/") + quote(name))
    return pages


def _spelled(name: str) -> str:
    """CVE and its like in capitals, the parts of a GHSA in small letters, others as they are."""
    if not _KNOWN.fullmatch(name):
        return name
    upper = name.upper()
    return "GHSA" + upper[4:].lower() if upper.startswith("GHSA-") else upper


def _rank(name: str) -> tuple[int, str]:
    kind = name.partition("-")[0]
    return (_ORDER.index(kind) if kind in _ORDER else len(_ORDER), name)
