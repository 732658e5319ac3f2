"""What is one and the same finding, from scan to scan and from scanner to scanner."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from mainstay_server.areas.vulnerabilities.models import FLOORS, Severity
from mainstay_server.areas.vulnerabilities.schemas.advisories import identifiers_of
from mainstay_server.areas.vulnerabilities.schemas.found import Found, names

SEPARATOR = "\x1f"


@dataclass(frozen=True, kw_only=True)
class Identified:
    """A finding with its fingerprint, and a digest of all that is told about it."""

    fingerprint: str
    digest: str
    found: Found


def identified(all_found: Iterable[Found], tool: str) -> list[Identified]:
    """The findings of a scan, each once.

    A package's advisories that share a name (a CVE, a GHSA) are one; all versions and places of the
    package are told together. In code, what looks the same several times in one file is counted
    from the top, so that none of them is lost.
    """
    packages: dict[str, list[Found]] = defaultdict(list)
    seen: Counter[str] = Counter()
    result: dict[str, Found] = {}
    for found in all_found:
        found.tool = found.tool or tool
        if found.subject:
            packages[found.subject].append(found)
            continue
        base = SEPARATOR.join(("code", found.tool.lower(), found.rule, found.identity))
        seen[base] += 1
        result[_hash(f"{base}{SEPARATOR}{seen[base]}")] = found
    for subject, of_package in packages.items():
        for found in merged(of_package):
            result[fingerprint_of(subject, found)] = found
    return [
        Identified(fingerprint=fingerprint, digest=_digest(found), found=found)
        for fingerprint, found in result.items()
    ]


def fingerprint_of(subject: str, found: Found) -> str:
    """The fingerprint of an advisory of a package: by its best known name."""
    name = found.identifiers[0] if found.identifiers else found.rule
    return _hash(SEPARATOR.join(("package", subject, name)))


def merged(all_found: Iterable[Found]) -> list[Found]:
    """The advisories of one package, those that share a name put together."""
    groups: dict[int, Found] = {}
    by_name: dict[str, Found] = {}
    for found in all_found:
        touched = {
            id(by_name[name]): by_name[name] for name in found.identifiers if name in by_name
        }
        kept = next(iter(touched.values()), None)
        if kept is None:
            groups[id(found)] = found
            kept = found
        for other in [*list(touched.values())[1:], *([found] if kept is not found else [])]:
            _put_together(kept, other)
            groups.pop(id(other), None)
        for name in kept.identifiers:
            by_name[name] = kept
    return list(groups.values())


def _put_together(kept: Found, other: Found) -> None:
    kept.identifiers = identifiers_of([*kept.identifiers, *other.identifiers])
    kept.versions = names([*kept.versions, *other.versions])
    kept.places = names([*kept.places, *other.places])
    kept.fixed_in = names([*kept.fixed_in, *other.fixed_in])
    kept.links = list(dict.fromkeys([*kept.links, *other.links]))[:20]
    kept.rule = kept.identifiers[0] if kept.identifiers else kept.rule
    if _weight(other) > _weight(kept):
        kept.severity, kept.score = other.severity, other.score


def _weight(found: Found) -> tuple[int, float]:
    return found.severity.rank, found.score if found.score is not None else FLOORS[found.severity]


def _digest(found: Found) -> str:
    facts = (
        found.rule,
        found.title,
        found.description,
        found.severity,
        found.score,
        found.identifiers,
        found.versions,
        found.fixed_in,
        found.places,
        found.links,
    )
    return _hash(json.dumps(facts))[:16]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def worst(severities: Iterable[str]) -> Severity:
    """The gravest of some severities."""
    return max(
        (Severity(one) for one in severities), key=lambda one: one.rank, default=Severity.UNKNOWN
    )
