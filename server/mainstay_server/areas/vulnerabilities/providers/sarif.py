"""SARIF 2.1.0: what Semgrep, Bandit, CodeQL, Trivy and most others can write."""

import re
from collections.abc import Iterator, Mapping

import msgspec

from mainstay_server.areas.vulnerabilities.models import Severity
from mainstay_server.areas.vulnerabilities.schemas.advisories import (
    advisories_in,
    identifiers_of,
    pages_of,
)
from mainstay_server.areas.vulnerabilities.schemas.found import (
    LONGEST_NAME,
    Document,
    Found,
    Unreadable,
    moment_of,
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
from mainstay_server.areas.vulnerabilities.schemas.places import path_of
from mainstay_server.areas.vulnerabilities.schemas.severities import score_of, severity_of

name = "sarif"
VERSION = "2.1.0"
# The other kinds of results say that something is well, or that nobody can tell.
FAULTS = ("fail", "open", "review")
LEVELS = {"error": Severity.HIGH, "warning": Severity.MEDIUM, "note": Severity.LOW}
# Hashes and counters. Some tools write a sentence here that is the same for every result.
_IDENTIFYING = re.compile(r"[A-Za-z0-9_:+/=.|-]{8,256}")
_NUMBERS = re.compile(r"\d+")
_SPACE = re.compile(r"\s+")
_PLACEHOLDER = re.compile(r"\{(\d{1,3})\}")


class Text(msgspec.Struct):
    """A message: its text, or the name of one of its rule's messages with arguments."""

    text: str | None = None
    markdown: str | None = None
    id: str | None = None
    arguments: list[str] | None = None


class Configuration(msgspec.Struct):
    """What holds for a rule's results unless they say otherwise."""

    level: str = "warning"


class Properties(msgspec.Struct):
    """What tools add of their own; `security-severity` is a score of CVSS."""

    score: msgspec.Raw = msgspec.field(default=NOTHING, name="security-severity")


class Rule(msgspec.Struct):
    """What a tool looks for."""

    id: str = ""
    name: str | None = None
    shortDescription: Text | None = None  # noqa: N815 - the standard's spelling, here and below
    fullDescription: Text | None = None  # noqa: N815
    help: Text | None = None
    helpUri: str | None = None  # noqa: N815
    messageStrings: dict[str, Text] | None = None  # noqa: N815
    defaultConfiguration: Configuration | None = None  # noqa: N815
    properties: Properties | None = None


class Component(msgspec.Struct):
    """A tool, or an extension of one, with its rules."""

    name: str = ""
    rules: list[Rule] | None = None


class Tool(msgspec.Struct):
    """Who scanned."""

    driver: Component
    extensions: list[Component] | None = None


class ComponentReference(msgspec.Struct):
    """Which of the tool's parts; without an index the driver."""

    index: int = -1


class RuleReference(msgspec.Struct):
    """Which rule, by id or by its place in a part of the tool."""

    id: str | None = None
    index: int = -1
    toolComponent: ComponentReference | None = None  # noqa: N815


class Artifact(msgspec.Struct):
    """A file, relative to a base that the run names."""

    uri: str | None = None
    uriBaseId: str | None = None  # noqa: N815
    index: int = -1


class ArtifactEntry(msgspec.Struct):
    """A file in the run's own list."""

    location: Artifact | None = None


class Region(msgspec.Struct):
    """The lines of a file."""

    startLine: int | None = None  # noqa: N815
    snippet: Text | None = None


class Physical(msgspec.Struct):
    """A place in a file."""

    artifactLocation: Artifact | None = None  # noqa: N815
    region: Region | None = None


class Location(msgspec.Struct):
    """Where a result is."""

    physicalLocation: Physical | None = None  # noqa: N815


class Suppression(msgspec.Struct):
    """Somebody said in the code or to the tool that it is nothing."""

    status: str = "accepted"


class Result(msgspec.Struct):
    """One thing that the tool found."""

    ruleId: str | None = None  # noqa: N815
    ruleIndex: int = -1  # noqa: N815
    rule: RuleReference | None = None
    kind: str = "fail"
    level: str | None = None
    message: Text | None = None
    locations: list[Location] | None = None
    fingerprints: dict[str, str] | None = None
    partialFingerprints: dict[str, str] | None = None  # noqa: N815
    suppressions: list[Suppression] | None = None
    baselineState: str = ""  # noqa: N815
    properties: Properties | None = None


class Invocation(msgspec.Struct):
    """How the tool ran."""

    executionSuccessful: bool = True  # noqa: N815
    endTimeUtc: str | None = None  # noqa: N815


class Automation(msgspec.Struct):
    """Which of several scans of the same tool; `category/run`."""

    id: str = ""


class Run(msgspec.Struct):
    """One run of one tool."""

    tool: Tool
    results: list[Result] | None = None
    artifacts: list[ArtifactEntry] | None = None
    invocations: list[Invocation] | None = None
    automationDetails: Automation | None = None  # noqa: N815
    originalUriBaseIds: dict[str, Artifact] | None = None  # noqa: N815


class Log(msgspec.Struct):
    """The whole document."""

    version: str
    runs: list[Run]


def recognises(head: Head) -> bool:
    """It has runs; nothing else has."""
    return head.has("runs")


def read(body: bytes) -> Document:
    """Its findings, of all runs. A run that failed, or gives no results, leaves it incomplete."""
    log = decode(body, Log)
    if log.version != VERSION:
        raise Unreadable(f"SARIF {one_line(log.version, 20)} is not read; write {VERSION}.")
    if not log.runs:
        raise Unreadable("The SARIF document has no run in it; send what the scanner wrote.")
    results = [(run, result) for run in log.runs for result in listed(run.results)]
    open_ones = [(run, result) for run, result in results if _is_open(result)]
    rules = {id(run): _Rules(run) for run in log.runs}
    tools = list(dict.fromkeys(one_line(run.tool.driver.name, 100) for run in log.runs))
    calls = [call for run in log.runs for call in listed(run.invocations)]
    moments = [at for at in (moment_of(call.endTimeUtc) for call in calls) if at]
    return Document(
        kind=name,
        tool="+".join(tools)[:100],
        source="+".join(dict.fromkeys(_source_of(run) for run in log.runs))[:LONGEST_NAME],
        found=(_found(run, rules[id(run)], result) for run, result in open_ones),
        complete=all(call.executionSuccessful for call in calls)
        and all(run.results is not None for run in log.runs),
        scanned_at=max(moments, default=None),
        suppressed=sum(1 for _, result in results if _is_suppressed(result)),
    )


class _Rules:
    """The rules of a run, by their place and by their id."""

    def __init__(self, run: Run) -> None:
        self._parts = [listed(each.rules) for each in listed(run.tool.extensions)]
        self._driver = listed(run.tool.driver.rules)
        self._by_id = {rule.id: rule for part in self._parts for rule in part}
        self._by_id |= {rule.id: rule for rule in self._driver}

    def of(self, result: Result) -> Rule:
        reference = result.rule or RuleReference()
        index = max(result.ruleIndex, reference.index)
        part = reference.toolComponent.index if reference.toolComponent else -1
        rules = self._parts[part] if 0 <= part < len(self._parts) else self._driver
        wanted = result.ruleId or reference.id or ""
        if 0 <= index < len(rules) and (not wanted or _is_of(rules[index].id, wanted)):
            return rules[index]
        return self._by_id.get(wanted) or self._by_id.get(wanted.partition("/")[0]) or Rule(wanted)


def _is_of(rule_id: str, wanted: str) -> bool:
    """SARIF lets a result name a finer rule than the one that is described: `CA1000/1`."""
    return wanted == rule_id or wanted.startswith(f"{rule_id}/")


def _is_suppressed(result: Result) -> bool:
    return any(each.status in ("accepted", "") for each in listed(result.suppressions))


def _is_open(result: Result) -> bool:
    return result.kind in FAULTS and result.baselineState != "absent" and not _is_suppressed(result)


def _source_of(run: Run) -> str:
    """The tool, and the category of a scan as GitHub reads it: all before the last slash."""
    category = (
        run.automationDetails.id.rpartition("/")[0].strip("/") if run.automationDetails else ""
    )
    return one_line(f"{run.tool.driver.name} {category}", LONGEST_NAME)


def _found(run: Run, rules: _Rules, result: Result) -> Found:
    rule = rules.of(result)
    rule_id = one_line(result.ruleId or rule.id or "unnamed", LONGEST_NAME)
    message = _message(result, rule)
    scores = [score_of(value_of(one.score)) for one in (result.properties, rule.properties) if one]
    score = next((one for one in scores if one is not None), None)
    default = rule.defaultConfiguration.level if rule.defaultConfiguration else "warning"
    level = result.level or default
    places = list(_places(run, result))
    identifiers = advisories_in(f"{rule_id} {rule.name or ''}")
    return Found(
        rule=rule_id,
        tool=one_line(run.tool.driver.name, 100),
        title=one_line(_said(rule.shortDescription) or message or rule.name or rule_id),
        description=paragraphs(
            "\n\n".join(
                dict.fromkeys(
                    text
                    for text in (message, _said(rule.fullDescription), _said(rule.help))
                    if text
                )
            )
        ),
        severity=severity_of(score) if score is not None else LEVELS.get(level, Severity.LOW),
        score=score,
        identity=_identity(result, message, places),
        identifiers=identifiers_of([*identifiers, rule_id]),
        places=names(f"{path}:{line}" if line else path for path, line in places),
        links=safe_links([rule.helpUri, *pages_of(identifiers)]),
    )


def _said(text: Text | None) -> str:
    return (text.text or text.markdown or "") if text else ""


def _message(result: Result, rule: Rule) -> str:
    """What the result says, or what its rule says with the result's arguments put in."""
    message = result.message or Text()
    if message.text or message.markdown or not message.id:
        return _said(message)
    template = _said((rule.messageStrings or {}).get(message.id))[:4000]
    given = listed(message.arguments)

    def argument(found: re.Match[str]) -> str:
        place = int(found[1])
        return given[place][:500] if place < len(given) else found[0]

    return _PLACEHOLDER.sub(argument, template)


def _places(run: Run, result: Result) -> Iterator[tuple[str, int]]:
    for location in listed(result.locations)[:20]:
        physical = location.physicalLocation
        artifact = physical.artifactLocation if physical else None
        if artifact is None:
            continue
        artifact = _resolved(run, artifact)
        base = (run.originalUriBaseIds or {}).get(artifact.uriBaseId or "%SRCROOT%")
        path = path_of(artifact.uri or "", (base.uri if base else "") or "")
        line = (physical.region.startLine or 0) if physical and physical.region else 0
        yield path, max(line, 0)


def _resolved(run: Run, artifact: Artifact) -> Artifact:
    entries = listed(run.artifacts)
    if artifact.uri is None and 0 <= artifact.index < len(entries):
        return entries[artifact.index].location or artifact
    return artifact


def _identity(result: Result, message: str, places: list[tuple[str, int]]) -> str:
    """What stays the same when lines move: the tool's own fingerprint, or the code, or the words.

    The path is part of it, since the same lines stand in many files.
    """
    path = places[0][0] if places else ""
    for given in (result.fingerprints, result.partialFingerprints):
        own = _own_fingerprint(given or {})
        if own:
            return f"{path}|{own}"
    snippet = _snippet(result)
    if snippet:
        return f"{path}|{_SPACE.sub(' ', snippet[:2000]).strip()}"
    return f"{path}|{_NUMBERS.sub('#', one_line(message, 1000))}"


def _own_fingerprint(given: Mapping[str, str]) -> str:
    """One of the tool's fingerprints, the one that most tools mean the same by at first.

    Only one, since a tool that adds another kind should not make everything new.
    """
    good = {key: value for key, value in given.items() if _IDENTIFYING.fullmatch(value)}
    chosen = "primaryLocationLineHash"
    key = chosen if chosen in good else min(good, default="")
    return f"{key}={good[key]}" if key else ""


def _snippet(result: Result) -> str:
    for location in listed(result.locations)[:1]:
        physical = location.physicalLocation
        if physical and physical.region and physical.region.snippet:
            return physical.region.snippet.text or ""
    return ""
