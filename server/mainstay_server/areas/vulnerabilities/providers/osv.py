"""OSV: what `osv-scanner --format json` writes, and records as they are published."""

from collections.abc import Iterator

import msgspec

from mainstay_server.areas.vulnerabilities.schemas.advisories import identifiers_of, pages_of
from mainstay_server.areas.vulnerabilities.schemas.found import (
    Document,
    Found,
    Unreadable,
    names,
    one_line,
    paragraphs,
    safe_links,
)
from mainstay_server.areas.vulnerabilities.schemas.heads import (
    NOTHING,
    Head,
    decode,
    listed,
    value_of,
)
from mainstay_server.areas.vulnerabilities.schemas.packages import ecosystem_of, package_of
from mainstay_server.areas.vulnerabilities.schemas.severities import (
    score_of,
    score_of_vectors,
    severity_of,
)

name = "osv"


class Named(msgspec.Struct):
    """A package, of an installed one or of an affected one."""

    name: str = ""
    ecosystem: str = ""
    version: str = ""


class Rated(msgspec.Struct):
    """A vector; `type` says of which CVSS."""

    type: str = ""
    score: str | float | None = None


class Event(msgspec.Struct):
    """A version at which something changed."""

    fixed: str | None = None


class Range(msgspec.Struct):
    """Which versions are affected, told as events in their order."""

    events: list[Event] | None = None


class Affected(msgspec.Struct):
    """One package that an advisory is about."""

    package: Named | None = None
    ranges: list[Range] | None = None
    severity: list[Rated] | None = None


class Reference(msgspec.Struct):
    """Where more is written."""

    url: str = ""


class Specific(msgspec.Struct):
    """What a database adds of its own; some rate by a word."""

    severity: msgspec.Raw = NOTHING


class Record(msgspec.Struct):
    """One advisory as OSV publishes it."""

    id: str
    aliases: list[str] | None = None
    summary: str | None = None
    details: str | None = None
    withdrawn: str | None = None
    severity: list[Rated] | None = None
    affected: list[Affected] | None = None
    references: list[Reference] | None = None
    database_specific: Specific | None = None


class Group(msgspec.Struct):
    """Advisories that the scanner holds for one and the same."""

    ids: list[str] | None = None
    aliases: list[str] | None = None
    max_severity: str | float | None = None


class Scanned(msgspec.Struct):
    """An installed package with the advisories that concern it."""

    package: Named
    vulnerabilities: list[Record] | None = None
    groups: list[Group] | None = None


class Lockfile(msgspec.Struct):
    """Where packages were read from."""

    path: str = ""


class Result(msgspec.Struct):
    """What was found in one place."""

    source: Lockfile | None = None
    packages: list[Scanned] | None = None


class Report(msgspec.Struct):
    """All that osv-scanner writes."""

    results: list[Result] | None


class Records(msgspec.Struct):
    """What OSV's own API answers."""

    vulns: list[Record]


def recognises(head: Head) -> bool:
    """A scan has `results`; a record has an id and what it affects; a list is one of records."""
    return (
        head.is_list or head.has("results") or head.has("vulns") or head.has("id", "affected")
    ) and not head.has("runs")


def read(body: bytes) -> Document:
    """Its findings: one for each installed package and advisory, or for each affected package."""
    if body.lstrip()[:1] == b"[":
        return _of_records(decode(body, list[Record]))
    head = decode(body, Head)
    if head.has("vulns"):
        return _of_records(decode(body, Records).vulns)
    if not head.has("results"):
        return _of_records([decode(body, Record)])
    report = decode(body, Report)
    scanned = [
        (each, result) for result in listed(report.results) for each in listed(result.packages)
    ]
    found = (one for package, result in scanned for one in _of_package(package, result))
    return Document(kind=name, tool="osv-scanner", found=found, components=len(scanned))


def _of_records(records: list[Record]) -> Document:
    found = (
        _found(record, affected.package, Group(), None)
        for record in records
        if not record.withdrawn
        for affected in listed(record.affected)
        if affected.package is not None
    )
    if records and not any(listed(record.affected) for record in records):
        raise Unreadable("The records of OSV name no affected package; send those that do.")
    # A handful of advisories says nothing of those that it does not name.
    return Document(kind=name, tool="osv", found=found, complete=False)


def _of_package(package: Scanned, result: Result) -> Iterator[Found]:
    groups = {one: group for group in listed(package.groups) for one in listed(group.ids)}
    for record in listed(package.vulnerabilities):
        if not record.withdrawn:
            yield _found(record, package.package, groups.get(record.id, Group()), result)


def _found(record: Record, package: Named, group: Group, result: Result | None) -> Found:
    ecosystem = ecosystem_of(package.ecosystem)
    identifiers = identifiers_of(
        [record.id, *listed(record.aliases), *listed(group.ids), *listed(group.aliases)]
    )
    mine = [each for each in listed(record.affected) if _is_about(each, package)]
    rated = listed(record.severity) or [r for each in mine for r in listed(each.severity)]
    score = score_of_vectors(each.score for each in rated)
    if score is None:
        score = score_of(group.max_severity)
    word = value_of(record.database_specific.severity) if record.database_specific else None
    place = result.source.path if result and result.source else ""
    return Found(
        rule=identifiers[0] if identifiers else one_line(record.id),
        title=one_line(record.summary or f"{record.id} in {package.name}"),
        description=paragraphs(record.details or record.summary),
        severity=severity_of(score, word),
        score=score,
        ecosystem=ecosystem,
        package=package_of(ecosystem, package.name),
        identifiers=identifiers,
        versions=names([package.version]),
        fixed_in=_fixes(mine),
        places=names([place]),
        links=safe_links(
            [*pages_of(identifiers)[:3], *(each.url for each in listed(record.references))]
        ),
    )


def _is_about(affected: Affected, package: Named) -> bool:
    if affected.package is None:
        return False
    ecosystem = ecosystem_of(package.ecosystem)
    return ecosystem_of(affected.package.ecosystem) == ecosystem and (
        package_of(ecosystem, affected.package.name) == package_of(ecosystem, package.name)
    )


def _fixes(affected: list[Affected]) -> list[str]:
    events = (
        event for each in affected for span in listed(each.ranges) for event in listed(span.events)
    )
    return names(event.fixed for event in events)
