"""What a rule would have told of the past: the judge of life, led through minutes that are over.

Pure: whoever asks brings the readings. The judge is `judging.evaluate`, which also judges every
minute of life, so that the two cannot come to different ends of the same data.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mainstay_server.areas.alerts.models import Severity
from mainstay_server.kernel.measures import Reading

from .effective import Effective
from .judging import Change, Place, Question, Readings, Standings, evaluate, place_of, values_of

STEP = timedelta(minutes=1)
"""So often rules are judged, on the whole minute."""


@dataclass(frozen=True, slots=True)
class Worst:
    """The value that was furthest on the bad side, when, and of which part."""

    value: float
    at: datetime
    part: str


@dataclass(slots=True)
class Spell:
    """One time that a rule fired: from the first alert until it was over, or None while it lasts.

    `told` is each alert that would have opened, the milder or graver one that took its place too;
    `worst` the value that was furthest beyond, since it first was, and None of absence.
    """

    part: str
    began_at: datetime
    ended_at: datetime | None = None
    told: list[tuple[datetime, Severity]] = field(default_factory=list)
    worst: Worst | None = None

    @property
    def severity(self) -> Severity:
        """The gravest of what would have been told."""
        return max((severity for _, severity in self.told), key=lambda each: each.rank)

    def lasted(self, until: datetime) -> timedelta:
        """How long, until its end or until the last look."""
        return (self.ended_at or until) - self.began_at


@dataclass(slots=True)
class Replayed:
    """What judging came to: every spell, oldest first, and of what it was judged.

    `data_since` is the first minute at which there was any reading, `minutes` at how many there
    was one, and `judged_minutes` at how many there was a value that could be judged.
    """

    spells: list[Spell] = field(default_factory=list)
    data_since: datetime | None = None
    minutes: int = 0
    judged_minutes: int = 0
    worst: Worst | None = None


def replay(
    rule: Effective,
    instance_id: str,
    project_id: str,
    readings_at: Callable[[datetime], Sequence[Reading]],
    *,
    since: datetime,
    until: datetime,
) -> Replayed:
    """Judge a rule at every whole minute after `since` up to `until`, from calm on.

    As if it had been written at `since`. What would be firing at `until` has no end.
    """
    run = _Run(rule, instance_id, {instance_id: project_id})
    at = since + STEP
    while at <= until:
        run.look(readings_at(at), at=at)
        at += STEP
    return run.found


class _Run:
    """A walk through the minutes: how all stands, and what was found so far."""

    def __init__(self, rule: Effective, instance_id: str, projects: dict[str, str]) -> None:
        self.rule, self.instance_id, self.projects = rule, instance_id, projects
        self.found = Replayed()
        self._question = Question(0, rule.window_seconds, bool(rule.part))
        self._standings = Standings()
        self._open: dict[Place, Spell] = {}
        self._furthest: dict[Place, Worst] = {}

    def look(self, readings: Sequence[Reading], *, at: datetime) -> None:
        """Judge one minute."""
        may_change = readings or self._standings.of or self.rule.terms.compares == "absent"
        if not may_change:
            return
        looked = Readings(
            questions={self.rule.id: self._question},
            found={self._question: {self.instance_id: list(readings)} if readings else {}},
        )
        changes, first_seen, _ = evaluate(
            [self.rule], looked, self._standings, self.projects, now=at
        )
        self._standings.take(changes, first_seen)
        if readings:
            self._note(readings, at=at)
        for change in changes:
            self._tell(change, at=at)

    def _note(self, readings: Sequence[Reading], *, at: datetime) -> None:
        """Remember the worst values, of all and of each place that is not calm."""
        found = self.found
        found.data_since = found.data_since or at
        found.minutes += 1
        was_judged = False
        for part, value in values_of(self.rule, readings):
            if value is None:
                continue
            was_judged = True
            now = Worst(value, at, part)
            found.worst = self._worse(now, found.worst)
            if self._standings.of:
                self._note_at(place_of(self.rule, self.instance_id, part), now)
        found.judged_minutes += was_judged

    def _note_at(self, place: Place, now: Worst) -> None:
        if place not in self._standings.of or self.rule.terms.compares == "absent":
            return
        self._furthest[place] = self._worse(now, self._furthest.get(place))
        if place in self._open:
            self._open[place].worst = self._furthest[place]

    def _worse(self, now: Worst, before: Worst | None) -> Worst:
        is_high = self.rule.terms.compares != "below"
        if before is None or ((now.value > before.value) is is_high and now.value != before.value):
            return now
        return before

    def _tell(self, change: Change, *, at: datetime) -> None:
        """Open, lead on and end spells as alerts would be."""
        was, is_now = change.told
        if is_now is not None and was is not is_now:
            spell = self._open.get(change.place)
            if spell is None:
                spell = Spell(part=change.part_name, began_at=at)
                spell.worst = self._furthest.get(change.place)
                self._open[change.place] = spell
                self.found.spells.append(spell)
            spell.told.append((at, is_now))
        elif was is not None and is_now is None:
            self._open.pop(change.place).ended_at = at
        if not change.after:
            self._furthest.pop(change.place, None)
