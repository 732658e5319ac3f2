"""What `npm audit --json` writes since npm 7."""

import msgspec

from mainstay_server.areas.vulnerabilities.schemas.advisories import (
    advisories_in,
    identifiers_of,
    pages_of,
)
from mainstay_server.areas.vulnerabilities.schemas.found import (
    Document,
    Found,
    names,
    one_line,
    safe_links,
)
from mainstay_server.areas.vulnerabilities.schemas.heads import Head, decode, listed
from mainstay_server.areas.vulnerabilities.schemas.severities import score_of, severity_of

name = "npm-audit"


class Cvss(msgspec.Struct):
    """The score that npm knows; 0 when it knows none."""

    score: float | None = None


class Advisory(msgspec.Struct):
    """One advisory of a package."""

    source: int | str = ""
    name: str = ""
    title: str = ""
    url: str = ""
    severity: str = ""
    range: str = ""
    cvss: Cvss | None = None


class Fix(msgspec.Struct):
    """What npm would install instead."""

    name: str = ""
    version: str = ""


class Package(msgspec.Struct):
    """One package with a weakness of its own, or only with one that it depends on.

    `via` holds advisories, and the names of packages whose advisories concern it, too.
    """

    via: list[str | Advisory] | None = None
    nodes: list[str] | None = None
    fixAvailable: bool | Fix | None = None  # noqa: N815 - the document's own spelling


class Report(msgspec.Struct):
    """The whole document."""

    vulnerabilities: dict[str, Package]


def recognises(head: Head) -> bool:
    """It says which version of npm's report it is."""
    return head.has("auditReportVersion", "vulnerabilities")


def read(body: bytes) -> Document:
    """Its findings: one for each advisory of the package that has it.

    Packages that merely depend on one with an advisory are told by npm as well, and are no findings
    of their own: mending the one mends them.
    """
    report = decode(body, Report)
    found = (
        _found(package_name, package, each)
        for package_name, package in report.vulnerabilities.items()
        for each in listed(package.via)
        if isinstance(each, Advisory)
    )
    return Document(kind=name, tool="npm audit", found=found)


def _found(package_name: str, package: Package, advisory: Advisory) -> Found:
    identifiers = advisories_in(advisory.url) or identifiers_of([f"npm-{advisory.source}"])
    score = score_of(advisory.cvss.score) if advisory.cvss and advisory.cvss.score else None
    return Found(
        rule=identifiers[0],
        title=one_line(advisory.title or f"{identifiers[0]} in {package_name}"),
        description=one_line(f"Affected: {advisory.range}") if advisory.range else "",
        severity=severity_of(score, advisory.severity),
        score=score,
        ecosystem="npm",
        package=one_line(advisory.name or package_name),
        identifiers=identifiers,
        fixed_in=_fixes(package_name, package.fixAvailable),
        places=names(listed(package.nodes)),
        links=safe_links([advisory.url]) or pages_of(identifiers),
    )


def _fixes(package_name: str, fix: object) -> list[str]:
    """What npm would install instead, if that is the package itself or what depends on it."""
    if not isinstance(fix, Fix):
        return []
    same = fix.name in ("", package_name)
    return names([fix.version if same else f"{fix.name}@{fix.version}"])
