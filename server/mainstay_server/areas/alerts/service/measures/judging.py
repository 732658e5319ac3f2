"""What all rules come to, judged by what was read: pure, and quick for a thousand of them."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mainstay_server.areas.alerts.models import Severity
from mainstay_server.areas.alerts.schemas.measure_rules import EACH_PART
from mainstay_server.kernel.measures import Reading

from .effective import Effective
from .thresholds import Standing, gravest, look


@dataclass(frozen=True, slots=True)
class Question:
    """What is read once for all rules that need it."""

    measure_family: int
    window_seconds: int
    by_part: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rule is judged: at an instance, or at a part of it."""

    rule: str
    instance_id: str
    part: str


@dataclass(frozen=True, slots=True)
class Change:
    """What a look at one place came to, where it changed something."""

    rule: Effective | None
    place: Place
    part_name: str
    value: float | None
    before: Mapping[Severity, Standing]
    after: Mapping[Severity, Standing]

    @property
    def told(self) -> tuple[Severity | None, Severity | None]:
        """Of which severity there was an alert before, and of which there is one now."""
        return gravest(self.before), gravest(self.after)


@dataclass
class Readings:
    """What was read, by question and instance."""

    questions: dict[str, Question] = field(default_factory=dict)
    found: dict[Question, dict[str, list[Reading]]] = field(default_factory=dict)

    def of(self, rule: Effective) -> Mapping[str, list[Reading]]:
        """The readings that a rule looks at, by instance."""
        return self.found[self.questions[rule.id]]


@dataclass
class Standings:
    """How everything stood before: the levels of each place, and where data was ever seen."""

    of: dict[Place, dict[Severity, Standing]] = field(default_factory=dict)
    seen: set[tuple[str, str]] = field(default_factory=set)

    def take(self, changes: Iterable[Change], first_seen: set[tuple[str, str]]) -> None:
        """Stand as a look found it, as what is written down stands."""
        self.seen |= first_seen
        for change in changes:
            if change.after:
                self.of[change.place] = dict(change.after)
            else:
                self.of.pop(change.place, None)


def evaluate(
    rules: Sequence[Effective],
    readings: Readings,
    standings: Standings,
    projects: Mapping[str, str],
    *,
    now: datetime,
) -> tuple[list[Change], set[tuple[str, str]], int]:
    """Judge every rule wherever it has something to judge: pure, whatever was read.

    Returns what changed, at which rules and instances data was seen for the first time, and how
    many evaluations that were. What stood and has no rule any more changes to calm.
    """
    changes: list[Change] = []
    first_seen: set[tuple[str, str]] = set()
    visited: set[Place] = set()
    evaluations = 0
    nothing: dict[Severity, Standing] = {}
    for rule in rules:
        by_instance = readings.of(rule)
        for instance_id in _instances_of(rule, by_instance, projects):
            found = by_instance.get(instance_id, ())
            if rule.terms.compares == "absent" and not _may_be_absent(
                rule, instance_id, found, standings, first_seen
            ):
                continue
            for part, value in values_of(rule, found):
                place = place_of(rule, instance_id, part)
                visited.add(place)
                evaluations += 1
                before = standings.of.get(place, nothing)
                after = look(rule.terms, before, value, now=now)
                if before or after:
                    changes.append(Change(rule, place, part, value, before, after))
    changes += _unvisited(rules, standings, visited, now=now)
    return [each for each in changes if each.before != each.after], first_seen, evaluations


def _instances_of(
    rule: Effective, by_instance: Mapping[str, list[Reading]], projects: Mapping[str, str]
) -> Iterator[str]:
    """Where a rule is judged: where there are data, or, asked for their absence, everywhere."""
    if rule.instance_id is not None:
        yield rule.instance_id
        return
    where: Mapping[str, object] = projects if rule.terms.compares == "absent" else by_instance
    for instance_id in where:
        project_id = projects.get(instance_id)
        if project_id is not None and rule.holds_in(project_id):
            yield instance_id


def _may_be_absent(
    rule: Effective,
    instance_id: str,
    found: Sequence[Reading],
    standings: Standings,
    first_seen: set[tuple[str, str]],
) -> bool:
    """Whether silence says something: of a whole project, only where there were data before.

    Whoever names one instance expects data of it; an instance that never had any would otherwise
    be an alert of every rule that is of all.
    """
    key = (rule.id, instance_id)
    if key in standings.seen or rule.instance_id is not None:
        return True
    if any(rule.measure in reading.values for reading in found):
        first_seen.add(key)
        return True
    return False


def place_of(rule: Effective, instance_id: str, part: str) -> Place:
    """Where a rule is judged of a part; parts may be long, so that a digest stands for them."""
    digest = hashlib.sha256(part.encode()).hexdigest()[:16] if part else ""
    return Place(rule.id, instance_id, digest)


def values_of(rule: Effective, found: Sequence[Reading]) -> Iterator[tuple[str, float | None]]:
    """The values that a rule looks at in an instance, each with the name of its part."""
    if rule.part == EACH_PART:
        for reading in found:
            yield reading.part, _value(rule, reading)
        return
    named = next((reading for reading in found if reading.part == rule.part), None)
    yield rule.part, None if named is None else _value(rule, named)


def _value(rule: Effective, reading: Reading) -> float | None:
    too_few = reading.count < rule.terms.minimum_count
    return None if too_few else reading.values.get(rule.measure)


def _unvisited(
    rules: Sequence[Effective], standings: Standings, visited: set[Place], *, now: datetime
) -> Iterator[Change]:
    """What stood somewhere and was not looked at now: without data, or without its rule."""
    by_id = {rule.id: rule for rule in rules}
    for place, before in standings.of.items():
        if place in visited:
            continue
        rule = by_id.get(place.rule)
        after = {} if rule is None else look(rule.terms, before, None, now=now)
        yield Change(rule, place, "", None, before, after)
