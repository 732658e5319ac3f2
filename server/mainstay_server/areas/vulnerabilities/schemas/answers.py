"""Shapes: what the API of vulnerabilities takes and gives."""

from typing import Annotated, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from mainstay_server.areas.vulnerabilities.models import Severity, Status
from mainstay_server.kernel.web import Answer, Body
from mainstay_server.kernel.web.bodies import LATER, Instant

Name = Annotated[str, Field(max_length=200, examples=["backend"])]
Branch = Annotated[str, Field(max_length=200, examples=["main"])]
Commit = Annotated[str, Field(max_length=64, examples=["9f2c1e7"])]
A_TIME = "2026-11-21T09:41:45.001Z"
AN_ID = "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
A_SCAN = {
    "version": "2.1.0",
    "runs": [
        {
            "tool": {"driver": {"name": "Bandit", "rules": [{"id": "B602", "name": "shell_true"}]}},
            "results": [
                {
                    "ruleId": "B602",
                    "level": "error",
                    "message": {"text": "subprocess call with shell=True"},
                    "locations": [
                        {
                            "physicalLocation": {
                                "artifactLocation": {"uri": "app/export.py"},
                                "region": {
                                    "startLine": 41,
                                    "snippet": {"text": "run(line, shell=True)"},
                                },
                            }
                        }
                    ],
                }
            ],
        }
    ],
}


class ScanQuery(BaseModel):
    """What is said of a scan beside it."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    source: str = Field(
        "",
        max_length=200,
        description="Which scan it is, the same every time; without it the scanner's name.",
        examples=["backend"],
    )
    branch: str = Field(
        "", max_length=200, description="The branch; without it the main one.", examples=["main"]
    )
    commit: str = Field("", max_length=64, description="What was scanned.", examples=["9f2c1e7"])
    release: str = Field(
        "", max_length=200, description="The release that it is or becomes.", examples=["1.4.0"]
    )
    complete: bool = Field(
        default=True,
        description="Whether what it does not name any more is gone; false for a part of a scan.",
        examples=[True],
    )
    scanned_at: Instant | None = Field(
        None, description="When it was scanned; without it what the scan says, or now."
    )


class ScanAnswer(Answer):
    """One upload, and what it changed."""

    id: Annotated[str, Field(examples=[AN_ID])]
    source: Name
    branch: Branch
    tool: Annotated[str, Field(examples=["Bandit"])]
    kind: Annotated[str, Field(examples=["sarif"])]
    commit: Commit
    release: Annotated[str, Field(examples=["1.4.0"])]
    complete: bool
    outdated: Annotated[bool, Field(examples=[False])]
    scanned_at: Instant
    received_at: Instant
    findings: Annotated[int, Field(examples=[12])]
    new: Annotated[int, Field(examples=[2])]
    fixed: Annotated[int, Field(examples=[1])]
    reopened: Annotated[int, Field(examples=[0])]
    suppressed: Annotated[int, Field(examples=[3])]
    components: Annotated[int, Field(examples=[0])]


class Scans(Answer):
    """A page of uploads, newest first."""

    scans: list[ScanAnswer]
    next_cursor: str | None


class VulnerabilityAnswer(Answer):
    """One finding. `places` are files and lines of code, or where a package is declared."""

    id: Annotated[str, Field(examples=[AN_ID])]
    status: Annotated[Status, Field(examples=["open"])]
    severity: Annotated[Severity, Field(examples=["high"])]
    score: Annotated[float | None, Field(examples=[8.8])]
    title: Annotated[str, Field(examples=["Jinja sandbox breakout"])]
    rule: Annotated[str, Field(examples=["CVE-2025-27516"])]
    identifiers: Annotated[list[str], Field(examples=[["CVE-2025-27516", "GHSA-cpwx-vrp4-4pq7"]])]
    tool: Annotated[str, Field(examples=["pip-audit"])]
    package: Annotated[str, Field(examples=["jinja2"])]
    versions: Annotated[list[str], Field(examples=[["3.1.5"]])]
    fixed_in: Annotated[list[str], Field(examples=[["3.1.6"]])]
    places: Annotated[list[str], Field(examples=[["requirements.txt"]])]
    links: Annotated[
        list[str], Field(examples=[["https://github.com/advisories/GHSA-cpwx-vrp4-4pq7"]])
    ]
    first_seen_at: Instant
    last_seen_at: Instant
    reopened_at: Instant | None
    fixed_at: Instant | None
    fixed_release: Annotated[str, Field(examples=["1.4.0"])]
    fixed_commit: Commit
    decided_reason: Annotated[str, Field(examples=[""])]
    decided_until: Instant | None


class VulnerabilityDetails(VulnerabilityAnswer):
    """One finding with all that its scanner wrote about it."""

    description: Annotated[str, Field(examples=["The sandbox lets |attr through."])]


class Vulnerabilities(Answer):
    """A page of findings, the gravest first."""

    vulnerabilities: list[VulnerabilityAnswer]
    next_cursor: str | None


class VulnerabilityDecision(Body):
    """What is decided: accepted until a time or for good, false, or open again."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"status": "accepted", "reason": "Only admins reach it.", "until": LATER}]
        }
    )

    status: Literal["accepted", "false_positive", "open"]
    reason: Annotated[str, Field(max_length=500)] = ""
    until: Instant | None = None


class VulnerabilitySettingsBody(Body):
    """How an instance takes scans."""

    main_branch: Annotated[str, Field(min_length=1, max_length=200, examples=["trunk"])]


class VulnerabilitySettingsAnswer(Answer):
    """How an instance takes scans: those of the main branch tell what is true of it."""

    main_branch: Branch


class SeverityCounts(Answer):
    """How many of each severity."""

    critical: Annotated[int, Field(examples=[0])]
    high: Annotated[int, Field(examples=[2])]
    medium: Annotated[int, Field(examples=[5])]
    low: Annotated[int, Field(examples=[9])]
    unknown: Annotated[int, Field(examples=[0])]


class GateAnswer(Answer):
    """Whether a branch passes. `findings` are the gravest that stand in its way, at most 100."""

    passed: Annotated[bool, Field(examples=[False])]
    reason: Annotated[str, Field(examples=["2 open of at least high on main."])]
    branch: Branch
    against: Annotated[str | None, Field(examples=[None])]
    fail_on: Annotated[Severity, Field(examples=["high"])]
    failing: Annotated[int, Field(examples=[2])]
    counts: SeverityCounts
    findings: list[VulnerabilityAnswer]


ScanAbout = Annotated[ScanQuery, Query()]
