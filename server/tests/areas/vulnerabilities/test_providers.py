"""Each kind of scan is read from a document written after its published schema."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mainstay_server.areas.vulnerabilities.models import Severity
from mainstay_server.areas.vulnerabilities.schemas.found import Document, Found, Unreadable
from mainstay_server.areas.vulnerabilities.service.identities import Identified
from mainstay_server.areas.vulnerabilities.service.reading import _as_utf8, _document, read_scan
from mainstay_server.kernel.problems import TooLarge
from tests.areas.vulnerabilities.worlds import osv_scan, pip_audit, result, sarif

GOLDEN = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Scanned:
    """A scan as its kind reads it, with all that it names gone through."""

    document: Document
    found: list[Found]


def golden(name: str) -> Scanned:
    return read((GOLDEN / name).read_bytes())


def only(scanned: Scanned) -> Found:
    (found,) = scanned.found
    return found


def read(body: bytes) -> Scanned:
    read_scan(body)
    plain = _as_utf8(body)
    document = _document(plain)
    return Scanned(document=document, found=list(document.found))


def identified(body: bytes) -> list[Identified]:
    return read_scan(body).findings


def test_codeql_keeps_rules_in_extensions_and_its_own_fingerprints() -> None:
    scanned = golden("codeql.sarif")
    found = only(scanned)
    assert (scanned.document.tool, scanned.document.source) == ("CodeQL", "CodeQL language:python")
    assert scanned.document.scanned_at is not None
    assert scanned.document.scanned_at.isoformat() == "2026-02-03T04:05:06+00:00"
    assert (found.rule, found.title) == ("py/sql-injection", "SQL query built from user input")
    assert (found.severity, found.score) == (Severity.HIGH, 8.8)
    assert found.places == ["app/db query.py:12"]
    assert found.identity.endswith("primaryLocationLineHash=39fa2ee980eb94b0:1")
    assert "Bind values" in found.description


def test_semgrep_writes_one_sentence_as_everybodys_fingerprint() -> None:
    """`requires login` stands there for each result; taken at its word all would be one."""
    scanned = golden("semgrep.sarif")
    assert len({found.identity for found in scanned.found}) == len(scanned.found) == 2
    assert {found.severity for found in scanned.found} == {Severity.MEDIUM, Severity.HIGH}
    assert scanned.document.suppressed == 1, "a nosemgrep comment is nothing to follow"


def test_trivy_names_an_advisory_as_its_rule() -> None:
    found = only(golden("trivy.sarif"))
    assert found.identifiers == ["CVE-2025-27516"]
    assert (found.severity, found.score) == (Severity.MEDIUM, 5.4)
    assert "https://nvd.nist.gov/vuln/detail/CVE-2025-27516" in found.links


def test_a_bill_of_materials_tells_each_part_that_is_weak() -> None:
    scanned = golden("cyclonedx-1.6.json")
    assert (scanned.document.tool, scanned.document.components, scanned.document.suppressed) == (
        "trivy",
        4,
        1,
    )
    jinja, log4j = scanned.found
    assert (jinja.ecosystem, jinja.package, jinja.versions) == ("pypi", "jinja2", ["3.1.5"])
    assert jinja.identifiers == ["CVE-2025-27516", "GHSA-cpwx-vrp4-4pq7"]
    assert (jinja.fixed_in, jinja.severity) == (["3.1.6"], Severity.HIGH)
    assert log4j.package == "org.apache.logging.log4j:log4j-core"
    assert (log4j.severity, log4j.score) == (Severity.CRITICAL, 10.0)


def test_an_older_bill_of_materials_lists_its_tools_otherwise() -> None:
    scanned = golden("cyclonedx-1.4.json")
    assert (scanned.document.tool, scanned.document.complete) == ("grype", True)
    assert only(scanned).package == "openssl"


def test_a_bill_of_materials_that_was_never_scanned_is_not_complete() -> None:
    bom = {"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [{"name": "a"}]}
    scanned = read(json.dumps(bom).encode())
    assert (scanned.document.complete, scanned.found, scanned.document.components) == (False, [], 1)


def test_osv_scanner_groups_names_and_rates_by_vector() -> None:
    scanned = golden("osv-scanner.json")
    (one,) = identified((GOLDEN / "osv-scanner.json").read_bytes())
    assert len(scanned.found) == 2, "as a GHSA and as a PYSEC"
    assert one.found.identifiers == [
        "CVE-2024-56201",
        "GHSA-gmj6-6f8f-6699",
        "PYSEC-2024-999",
    ]
    assert (one.found.severity, one.found.score) == (Severity.HIGH, 8.8)
    assert one.found.fixed_in == ["3.1.5"]
    assert one.found.places == ["requirements.txt"]


def test_records_of_osv_are_a_finding_for_each_package_and_no_whole_scan() -> None:
    record = {
        "id": "GHSA-aaaa-bbbb-cccc",
        "summary": "Bad",
        "database_specific": {"severity": "MODERATE"},
        "affected": [
            {"package": {"name": "left", "ecosystem": "npm"}},
            {"package": {"name": "right", "ecosystem": "npm"}},
        ],
    }
    for body in (record, [record], {"vulns": [record]}):
        scanned = read(json.dumps(body).encode())
        assert [one.package for one in scanned.found] == ["left", "right"]
        assert {one.severity for one in scanned.found} == {Severity.MEDIUM}
        assert scanned.document.complete is False


def test_a_withdrawn_advisory_is_none() -> None:
    record = {"id": "GHSA-aaaa-bbbb-cccc", "withdrawn": "2025-01-01T00:00:00Z"}
    assert identified(osv_scan("jinja2", record)) == []


def test_pip_audit_and_npm_audit_are_read() -> None:
    jinja = only(read(pip_audit(("Jinja2", "3.1.5", "PYSEC-2025-1", ["CVE-2025-1000"]))))
    assert (jinja.package, jinja.rule, jinja.fixed_in) == ("jinja2", "CVE-2025-1000", ["9.9"])
    assert jinja.severity is Severity.UNKNOWN, "pip-audit tells no severity, and none is made up"

    minimist = only(golden("npm-audit.json"))
    assert (minimist.package, minimist.severity) == ("minimist", Severity.CRITICAL)
    assert minimist.identifiers == ["GHSA-xvch-5gv4-984h"]
    assert minimist.fixed_in == ["mkdirp@1.0.4"]


def test_what_windows_shells_write_is_read_too() -> None:
    scan = sarif(result()).decode()
    for body in (scan.encode("utf-16"), scan.encode("utf-8-sig")):
        assert len(identified(body)) == 1


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "empty"),
        (b"\x1f\x8b\x08", "Content-Encoding: gzip"),
        (b"<xml/>", "cannot be read"),
        (b"{}", "no scan of a kind"),
        (b'"text"', "cannot be read"),
        (b'{"version": "2.1.0", "runs": []}', "no run"),
        (b'{"version": "1.0.0", "runs": [{"tool": {"driver": {"name": "x"}}}]}', "2.1.0"),
        (b'{"bomFormat": "CycloneDX", "specVersion": "1.1"}', "1.1 is not read"),
        (
            b'{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": 7}}}]}',
            "runs[0].tool.driver.name",
        ),
        (b'{"dependencies": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deep"),
        (b"[" * 100_000, "cannot be read"),
        (b'{"results": [{"source": {"path": "\xff"}}]}', "cannot be read"),
        (b'{"results": [], "x": "\\ud800"}', "cannot be read"),
    ],
)
def test_what_is_no_scan_is_refused_with_where_and_what_next(body: bytes, told: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read(body)
    assert told in refused.value.detail


def test_scores_that_are_none_are_not_believed() -> None:
    for score in ("1e400", "nan", "-3", "11", "high", ""):
        rule = {"id": "B1", "properties": {"security-severity": score}}
        found = only(read(sarif(result("B1"), rules=[rule])))
        assert (found.score, found.severity) == (None, Severity.HIGH)
    weak = '"vulnerabilities": [{"ratings": [{"score": 1e400}]}]'
    bom = '{"bomFormat": "CycloneDX", "specVersion": "1.5", ' + weak + "}"
    with pytest.raises(Unreadable, match="out of range"):
        read(bom.encode())


def test_a_swarm_of_empty_parts_is_refused_before_it_fills_the_memory() -> None:
    swarm = b'{"version": "2.1.0", "runs": [{"tool": {"driver": {}}, "results": ['
    with pytest.raises(TooLarge, match="parts"):
        read(swarm + b"{}," * 3_000_000 + b"{}]}]}")


def test_links_that_run_and_texts_that_disguise_do_not_get_in() -> None:
    evil = {
        "id": "B1",
        "helpUri": "javascript:alert(1)",
        "shortDescription": {"text": "<script>alert(1)</script>\u202e\x00 \x1b[31m"},
    }
    found = only(read(sarif(result("B1"), rules=[evil])))
    assert found.links == []
    assert found.title == "<script>alert(1)</script> [31m", "pages escape what is left"


def test_the_same_code_twice_in_a_file_is_two_findings() -> None:
    twice = [result(line=3), result(line=9)]
    first = [one.fingerprint for one in identified(sarif(*twice))]
    assert len(set(first)) == 2
    assert [one.fingerprint for one in identified(sarif(*twice))] == first


@pytest.mark.parametrize(
    ("uri", "base"),
    [
        ("app/export.py", ""),
        ("./app/export.py", ""),
        ("app\\export.py", ""),
        ("/builds/ships/inspections/app/export.py", ""),
        ("/github/workspace/app/export.py", ""),
        ("file:///C:/agent/ship/app/export.py", "file:///C:/agent/ship/"),
        ("file:///tmp/x/app/export.py", "file:///tmp/x"),
    ],
)
def test_a_file_is_the_same_wherever_it_was_checked_out(uri: str, base: str) -> None:
    run: dict[str, Any] = {"originalUriBaseIds": {"%SRCROOT%": {"uri": base}}} if base else {}
    assert only(read(sarif(result(path=uri, line=4), **run))).places == ["app/export.py:4"]
