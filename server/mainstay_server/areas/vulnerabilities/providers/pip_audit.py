"""What `pip-audit --format json` writes."""

import msgspec

from mainstay_server.areas.vulnerabilities.schemas.advisories import identifiers_of, pages_of
from mainstay_server.areas.vulnerabilities.schemas.found import (
    Document,
    Found,
    names,
    one_line,
    paragraphs,
)
from mainstay_server.areas.vulnerabilities.schemas.heads import Head, decode, listed
from mainstay_server.areas.vulnerabilities.schemas.packages import package_of

name = "pip-audit"


class Vulnerability(msgspec.Struct):
    """One advisory that concerns the installed version."""

    id: str
    fix_versions: list[str] | None = None
    aliases: list[str] | None = None
    description: str | None = None


class Dependency(msgspec.Struct):
    """One installed package; without `vulns` it was skipped."""

    name: str
    version: str | None = None
    vulns: list[Vulnerability] | None = None


class Report(msgspec.Struct):
    """The whole document."""

    dependencies: list[Dependency]


def recognises(head: Head) -> bool:
    """It has `dependencies`, and none of the names that others have."""
    return head.has("dependencies") and not head.has("vulnerabilities")


def read(body: bytes) -> Document:
    """Its findings: one for each advisory of each package."""
    report = decode(body, Report)
    found = (
        _found(dependency, advisory)
        for dependency in report.dependencies
        for advisory in listed(dependency.vulns)
    )
    return Document(kind=name, tool=name, found=found, components=len(report.dependencies))


def _found(dependency: Dependency, advisory: Vulnerability) -> Found:
    package = package_of("pypi", dependency.name)
    identifiers = identifiers_of([advisory.id, *listed(advisory.aliases)])
    first = paragraphs(advisory.description).partition("\n")[0]
    return Found(
        rule=identifiers[0] if identifiers else one_line(advisory.id),
        title=one_line(first or f"{advisory.id} in {package}"),
        description=paragraphs(advisory.description),
        ecosystem="pypi",
        package=package,
        identifiers=identifiers,
        versions=names([dependency.version]),
        fixed_in=names(listed(advisory.fix_versions)),
        links=pages_of(identifiers),
    )
