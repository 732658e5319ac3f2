"""Scans as scanners write them, made as small as the published schemas allow."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from mainstay_server.areas.vulnerabilities.models import Scan, Status, VulnerabilityFinding
from mainstay_server.areas.vulnerabilities.service.reading import read_scan
from mainstay_server.areas.vulnerabilities.service.recording import About, record_scan
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy import select
from sqlalchemy.orm import Session

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def result(
    rule: str = "B602", path: str = "app/export.py", line: int = 41, **more: Any
) -> dict[str, Any]:
    """A result of SARIF: a rule at a line, with the code that stands there."""
    snippet = more.pop("snippet", f"run({rule}, shell=True)")
    region = {"startLine": line, **({"snippet": {"text": snippet}} if snippet else {})}
    place = {"artifactLocation": {"uri": path}, "region": region}
    return {
        "ruleId": rule,
        "level": "error",
        "message": {"text": "subprocess call with shell=True"},
        "locations": [{"physicalLocation": place}],
        **more,
    }


def sarif(*results: dict[str, Any], tool: str = "Bandit", **run: Any) -> bytes:
    """A SARIF document of one run."""
    rules = run.pop("rules", [])
    one = {"tool": {"driver": {"name": tool, "rules": rules}}, "results": list(results), **run}
    return json.dumps({"version": "2.1.0", "runs": [one]}).encode()


def pip_audit(*found: tuple[str, str, str, list[str]]) -> bytes:
    """What pip-audit writes: (package, version, advisory, its aliases) each."""
    dependencies = [
        {
            "name": package,
            "version": version,
            "vulns": [
                {
                    "id": advisory,
                    "fix_versions": ["9.9"],
                    "aliases": aliases,
                    "description": "Bad.",
                }
            ],
        }
        for package, version, advisory, aliases in found
    ]
    return json.dumps({"dependencies": dependencies, "fixes": []}).encode()


def osv_scan(package: str, *records: dict[str, Any], ecosystem: str = "PyPI") -> bytes:
    """What osv-scanner writes of one package in one file."""
    scanned = {
        "package": {"name": package, "version": "1.0", "ecosystem": ecosystem},
        "vulnerabilities": list(records),
        "groups": [{"ids": [one["id"]], "aliases": one.get("aliases", [])} for one in records],
    }
    source = {"path": "/src/requirements.txt", "type": "lockfile"}
    return json.dumps({"results": [{"source": source, "packages": [scanned]}]}).encode()


def uploaded(
    session: Session, instance: InstanceRef, body: bytes, *, now: datetime = NOON, **about: Any
) -> Scan:
    """A scan taken in, as the door would."""
    return record_scan(session, instance, read_scan(body), About(**about), now=now)


def findings(session: Session, status: Status | None = None) -> list[VulnerabilityFinding]:
    """What is known, the oldest first."""
    statement = select(VulnerabilityFinding).order_by(VulnerabilityFinding.id)
    if status is not None:
        statement = statement.where(VulnerabilityFinding.status == status)
    return list(session.scalars(statement.execution_options(populate_existing=True)))


def states(session: Session) -> dict[str, str]:
    """The state of each finding, by its rule."""
    return {one.rule: str(one.status) for one in findings(session)}
