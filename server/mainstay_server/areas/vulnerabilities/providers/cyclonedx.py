"""CycloneDX 1.4 to 1.6 in JSON: a bill of materials, with the weaknesses of its parts."""

import re
from collections.abc import Iterator

import msgspec

from mainstay_server.areas.vulnerabilities.schemas.advisories import identifiers_of, pages_of
from mainstay_server.areas.vulnerabilities.schemas.found import (
    Document,
    Found,
    Unreadable,
    moment_of,
    names,
    one_line,
    paragraphs,
    safe_links,
)
from mainstay_server.areas.vulnerabilities.schemas.heads import NOTHING, Head, decode, listed
from mainstay_server.areas.vulnerabilities.schemas.packages import read_purl
from mainstay_server.areas.vulnerabilities.schemas.severities import (
    score_of,
    score_of_vectors,
    severity_of,
)

name = "cyclonedx"
VERSIONS = ("1.4", "1.5", "1.6")
# What the author of the document looked into and found to be nothing, or to be over.
SETTLED = ("false_positive", "not_affected", "resolved", "resolved_with_pedigree")
MOST_COMPONENTS = 200_000
_VERSIONS_NAMED = re.compile(r"\d[\w.+-]*")


class Component(msgspec.Struct):
    """One part; parts may hold further ones."""

    ref: str = msgspec.field(default="", name="bom-ref")
    name: str = ""
    group: str = ""
    version: str = ""
    purl: str = ""
    components: "list[Component] | None" = None


class Tools(msgspec.Struct):
    """Who wrote the document."""

    components: list[Component] | None = None
    services: list[Component] | None = None


class Source(msgspec.Struct):
    """Who published an advisory."""

    name: str = ""
    url: str = ""


class Rating(msgspec.Struct):
    """How grave somebody holds it."""

    score: float | None = None
    severity: str = ""
    method: str = ""
    vector: str = ""


class Link(msgspec.Struct):
    """An advisory's page."""

    url: str = ""


class Alias(msgspec.Struct):
    """The same, in the words of somebody else."""

    id: str = ""


class Analysis(msgspec.Struct):
    """What the author of the document found out about it."""

    state: str = ""


class Affects(msgspec.Struct):
    """The part that has it."""

    ref: str = ""


class Vulnerability(msgspec.Struct):
    """One weakness of some parts."""

    id: str = ""
    source: Source | None = None
    references: list[Alias] | None = None
    ratings: list[Rating] | None = None
    description: str = ""
    detail: str = ""
    recommendation: str = ""
    advisories: list[Link] | None = None
    analysis: Analysis | None = None
    affects: list[Affects] | None = None


class Metadata(msgspec.Struct):
    """When and about what it was written."""

    timestamp: str = ""
    tools: msgspec.Raw = NOTHING
    component: Component | None = None


class Bom(msgspec.Struct):
    """The whole document."""

    specVersion: str = ""  # noqa: N815 - the document's own spelling
    metadata: Metadata | None = None
    components: list[Component] | None = None
    vulnerabilities: list[Vulnerability] | msgspec.UnsetType | None = msgspec.UNSET


def recognises(head: Head) -> bool:
    """It says so itself."""
    return bytes(head.bomFormat) == b'"CycloneDX"'


def read(body: bytes) -> Document:
    """Its findings: one for each weakness and part that has it.

    A bill of materials that does not even have the list of weaknesses was never scanned: it closes
    nothing.
    """
    bom = decode(body, Bom)
    if bom.specVersion not in VERSIONS:
        raise Unreadable(
            f"CycloneDX {one_line(bom.specVersion, 20) or 'without specVersion'} is not read;"
            f" write {', '.join(VERSIONS)}."
        )
    metadata = bom.metadata or Metadata()
    roots = [metadata.component] if metadata.component else []
    parts = {part.ref or part.purl: part for part in _all([*roots, *listed(bom.components)])}
    weak = [] if bom.vulnerabilities is msgspec.UNSET else listed(bom.vulnerabilities)
    open_ones = [each for each in weak if not (each.analysis and each.analysis.state in SETTLED)]
    tool = _tool_of(metadata)
    return Document(
        kind=name,
        tool=tool,
        found=(found for each in open_ones for found in _found(each, parts)),
        complete=bom.vulnerabilities is not msgspec.UNSET,
        scanned_at=moment_of(metadata.timestamp),
        suppressed=len(weak) - len(open_ones),
        components=len(parts),
    )


def _all(components: list[Component]) -> Iterator[Component]:
    """Every part, those inside of others too."""
    waiting = list(reversed(components))
    count = 0
    while waiting:
        component = waiting.pop()
        waiting.extend(listed(component.components))
        count += 1
        if count > MOST_COMPONENTS:
            raise Unreadable(f"More than {MOST_COMPONENTS:,} components; send them in parts.")
        yield component


def _tool_of(metadata: Metadata) -> str:
    """The first tool; a list until CycloneDX 1.4, and an object with components since."""
    body = bytes(metadata.tools) or b"[]"
    if body.lstrip()[:1] == b"{":
        tools = decode(body, Tools)
        found = [*listed(tools.components), *listed(tools.services)]
    else:
        found = [*decode(body, list[Component])]
    return one_line(found[0].name, 100) if found else ""


def _found(weak: Vulnerability, parts: dict[str, Component]) -> Iterator[Found]:
    identifiers = identifiers_of([weak.id, *(each.id for each in listed(weak.references))])
    ratings = listed(weak.ratings)
    score = score_of_vectors(each.vector for each in ratings if _is_cvss(each))
    if score is None:
        scores = [score_of(each.score) for each in ratings if _is_cvss(each)]
        score = next((one for one in scores if one is not None), None)
    links = [each.url for each in listed(weak.advisories)]
    known = pages_of(identifiers) + ([weak.source.url] if weak.source else [])
    for affected in listed(weak.affects) or [Affects()]:
        ecosystem, package, version = _package(affected.ref, parts)
        yield Found(
            rule=identifiers[0] if identifiers else "unnamed",
            title=one_line(weak.description.partition("\n")[0] or f"{weak.id} in {package}"),
            description=paragraphs(
                "\n\n".join(
                    text for text in (weak.description, weak.detail, weak.recommendation) if text
                )
            ),
            severity=severity_of(score, *(each.severity for each in ratings)),
            score=score,
            ecosystem=ecosystem,
            package=package,
            identifiers=identifiers,
            versions=names([version]),
            fixed_in=_fixes(weak.recommendation),
            links=safe_links([*known[:3], *links]),
        )


def _is_cvss(rating: Rating) -> bool:
    return not rating.method or rating.method.upper().startswith("CVSS")


def _package(ref: str, parts: dict[str, Component]) -> tuple[str, str, str]:
    """The package behind a reference, which may be a BOM-Link, or a purl that is not listed."""
    part = parts.get(ref) or parts.get(ref.rpartition("#")[2])
    read_one = read_purl(part.purl if part else ref)
    if read_one is not None:
        return read_one
    if part is not None:
        full = f"{part.group}/{part.name}" if part.group else part.name
        return "generic", one_line(full, 200) or "unnamed", one_line(part.version, 200)
    return "generic", one_line(ref, 200) or "unknown", ""


def _fixes(recommendation: str) -> list[str]:
    """The versions in `Upgrade x to version 1.2.3; y to 2.0`, as most scanners write it."""
    if "pgrade" not in recommendation and "pdate" not in recommendation:
        return []
    clauses = (part.rpartition(" to ")[2] for part in recommendation[:1000].split(";"))
    return names(match for text in clauses for match in _VERSIONS_NAMED.findall(text))
