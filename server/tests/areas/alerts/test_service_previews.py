"""Previews of rules over measures: what they tell of the past is what life would have told."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from mainstay_server.areas import alerts
from mainstay_server.areas.alerts import jobs
from mainstay_server.areas.alerts.models import Severity
from mainstay_server.areas.alerts.schemas.measure_rules import MeasureRuleFields, MeasureRuleValue
from mainstay_server.areas.alerts.service.measures import measure_rules, previews
from mainstay_server.areas.alerts.service.measures.effective import Effective, terms_of
from mainstay_server.areas.alerts.service.measures.previews import PREVIEWED, Preview
from mainstay_server.areas.alerts.service.measures.replaying import replay
from mainstay_server.kernel.area import Area, install, installed
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.measures import Measure, MeasureFamily, Past, PastQuestion, Reading
from mainstay_server.kernel.problems import Invalid
from mainstay_server.tenancy.subjects import find_project
from sqlalchemy.orm import Session
from tests.areas.alerts.conftest import MINUTE, NOON, Harbour

P95 = "requests.p95_ms"
LEVELS = [
    {"severity": "warning", "threshold": 800, "clear": 700},
    {"severity": "critical", "threshold": 3000},
]
SLOW: dict[str, Any] = {"measure": P95, "levels": LEVELS, "clearSeconds": 0}


@dataclass
class Tape:
    """An area whose measure was, at each minute, what a test recorded."""

    instance_id: str
    moments: dict[datetime, list[Reading]] = field(default_factory=dict)
    since: datetime | None = None
    has_more_parts: bool = False

    def read(
        self, session: Session, *, since: datetime, until: datetime, by_part: bool
    ) -> Sequence[Reading]:
        return self._at(until, by_part=by_part)

    def replay(self, session: Session, asked: PastQuestion) -> Past:
        def at(moment: datetime) -> Sequence[Reading]:
            found = self._at(moment, by_part=asked.by_part)
            return [each for each in found if asked.part in ("", each.part)]

        return Past(
            since=max(self.since or asked.windows.since, asked.windows.since),
            has_more_parts=self.has_more_parts,
            at=at,
        )

    def fill(
        self, session: Session, *, since: datetime, until: datetime, by_part: bool
    ) -> Sequence[Reading]:
        return [Reading(instance_id=self.instance_id, values={"storage.used": 93.0}, count=1)]

    def records(self, at: datetime, value: float, *, part: str = "", count: int = 100) -> None:
        values = {P95: value}
        made = Reading(instance_id=self.instance_id, values=values, part=part, count=count)
        self.moments.setdefault(at, []).append(made)

    def _at(self, moment: datetime, *, by_part: bool) -> Sequence[Reading]:
        return [each for each in self.moments.get(moment, ()) if bool(each.part) is by_part]


@pytest.fixture
def tape(harbour: Harbour) -> Iterator[Tape]:
    made = Tape(harbour.instance.id)
    slow = Measure(name=P95, title="Response time", unit="ms", description="")
    used = Measure(name="storage.used", title="Storage", unit="percent", description="")
    kept = MeasureFamily(
        measures=(slow,), read=made.read, replay=made.replay, part="endpoint", counts="requests"
    )
    unkept = MeasureFamily(measures=(used,), read=made.fill, part="bucket", windowed=False)
    before = installed()
    install((alerts.area, Area(name="requests", title="Requests", measures=(kept, unkept))))
    yield made
    install(before)


def preview(harbour: Harbour, *, of_instance: bool = True, now: datetime, **fields: Any) -> Preview:
    value = MeasureRuleFields.model_validate(SLOW | fields)
    with reading() as session:
        return previews.preview(session, harbour.instance, value, of_instance=of_instance, now=now)


def told_by(found: Preview) -> list[tuple[str, str, datetime, datetime | None]]:
    """Each alert that a preview speaks of: its part, severity, begin and end."""
    told = []
    for spell in found.spells:
        ends = [*(at for at, _ in spell.told[1:]), spell.ended_at]
        told += [
            (spell.part, severity.value, at, end)
            for (at, severity), end in zip(spell.told, ends, strict=True)
        ]
    return sorted(told, key=lambda each: (each[2], each[0]))


RULES: Mapping[str, dict[str, Any]] = {
    "at once": {},
    "held": {"forSeconds": 120, "clearSeconds": 180},
    "of enough": {"minimumCount": 20, "forSeconds": 60, "clearSeconds": 60},
    "below": {
        "compares": "below",
        "levels": [
            {"severity": "low", "threshold": 700, "clear": 900},
            {"severity": "high", "threshold": 200},
        ],
        "clearSeconds": 120,
    },
    "each part": {"part": "*", "forSeconds": 60, "clearSeconds": 120},
    "one part": {"part": "/checkout", "clearSeconds": 60},
    "absent": {"compares": "absent", "levels": [{"severity": "high"}], "clearSeconds": 60},
}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_preview_tells_what_life_told_of_the_same_data(
    harbour: Harbour, tape: Tape, seed: int
) -> None:
    with transaction() as session:
        project = find_project(session, harbour.instance.project_slug)
        assert project is not None
        measure_rules.change_rule(
            session, project, "slow-responses", {"enabled": False}, now=harbour.now
        )
        for name, fields in RULES.items():
            rule = MeasureRuleValue.model_validate(SLOW | fields | {"name": name})
            measure_rules.create_rule(session, project, None, rule, now=harbour.now)
    chance = random.Random(seed)
    for minute in range(1, 121):
        at = NOON + minute * MINUTE
        for part in ("", "/checkout", "/search"):
            if chance.random() < 0.8:
                value = chance.choice((100, 650, 700, 750, 800, 900, 1000, 3000, 5000))
                tape.records(at, value, part=part, count=chance.randrange(15, 40))

    for _ in range(120):
        harbour.later(MINUTE)
        jobs.judge_measure_rules.function(now=harbour.now)

    for name, fields in RULES.items():
        life = [
            (
                alert.labels.get("part", fields.get("part", "").replace("*", "")),
                alert.severity,
                alert.opened_at,
                alert.resolved_at,
            )
            for alert in harbour.alerts()
            if alert.labels["rule"] == name
        ]
        found = preview(harbour, of_instance=False, now=harbour.now, **fields)
        assert told_by(found) == sorted(life, key=lambda each: (each[2], each[0])), name
        assert len(life) > 1, name
        assert found.alerts == len(life)
        still = [Severity(severity) for _, severity, _, end in life if end is None]
        assert found.firing_now == max(still, key=lambda each: each.rank, default=None)


def test_a_value_that_hovers_at_the_limit_fires_once(harbour: Harbour, tape: Tape) -> None:
    for minute in range(60):
        tape.records(NOON + minute * MINUTE, 10.5 if minute % 2 else 9.5)
    now = NOON + 59 * MINUTE
    margin = [{"severity": "warning", "threshold": 10, "clear": 9}]
    with_margin = preview(harbour, now=now, levels=margin, clearSeconds=300)
    assert [spell.began_at for spell in with_margin.spells] == [NOON + MINUTE]
    without = preview(harbour, now=now, levels=[{"severity": "warning", "threshold": 10}])
    assert (without.count, without.firing_now) == (30, Severity.WARNING)


def test_each_firing_has_its_begin_its_length_and_its_worst_value(
    harbour: Harbour, tape: Tape
) -> None:
    for minute, value in enumerate((100, 2000, 900, 4000, 3500, 650, 100)):
        tape.records(NOON + minute * MINUTE, value)

    found = preview(harbour, now=NOON + 10 * MINUTE, forSeconds=60)

    (spell,) = found.spells
    assert (spell.began_at, spell.ended_at) == (NOON + 2 * MINUTE, NOON + 5 * MINUTE)
    assert spell.told == [
        (NOON + 2 * MINUTE, Severity.WARNING),
        (NOON + 4 * MINUTE, Severity.CRITICAL),
    ]
    assert spell.severity is Severity.CRITICAL
    assert spell.lasted(found.until) == 3 * MINUTE
    assert spell.worst is not None
    assert (spell.worst.value, spell.worst.at) == (4000, NOON + 3 * MINUTE)
    assert (found.count, found.alerts, found.firing_now) == (1, 2, None)
    assert (found.ground, found.judged_minutes, found.data_since) == ("judged", 7, NOON)


def test_what_lasts_would_be_firing_now_and_what_does_not_last_long_enough_is_said(
    harbour: Harbour, tape: Tape
) -> None:
    tape.records(NOON - MINUTE, 900)
    tape.records(NOON, 1000)
    at_once = preview(harbour, now=NOON + timedelta(seconds=40))
    assert at_once.firing_now is Severity.WARNING
    assert at_once.spells[0].lasted(at_once.until) == MINUTE
    held = preview(harbour, now=NOON, forSeconds=600)
    assert (held.count, held.firing_now, held.now_severity) == (0, None, Severity.WARNING)
    assert held.now is not None
    assert held.now.value == 1000


def test_without_enough_to_judge_it_says_so(harbour: Harbour, tape: Tape) -> None:
    assert preview(harbour, now=NOON).ground == "no_data"
    tape.records(NOON - MINUTE, 9000, count=19)
    too_few = preview(harbour, now=NOON, minimumCount=20)
    assert (too_few.ground, too_few.minutes, too_few.judged_minutes) == ("too_few", 1, 0)
    assert too_few.count == 0
    enough = preview(harbour, now=NOON, minimumCount=19)
    assert (enough.ground, enough.count) == ("judged", 1)


def test_a_measure_without_a_past_is_told_as_it_is_now(harbour: Harbour, tape: Tape) -> None:
    levels = [{"severity": "warning", "threshold": 90}, {"severity": "high", "threshold": 95}]
    found = preview(harbour, now=NOON, measure="storage.used", levels=levels)
    assert (found.ground, found.count, found.now_severity) == ("no_past", 0, Severity.WARNING)
    assert found.now is not None
    assert found.now.value == 93
    dormant = preview(harbour, now=NOON, measure="resources.memory")
    assert dormant.ground == "not_measured"
    with pytest.raises(Invalid, match="measure must be one of"):
        preview(harbour, now=NOON, measure="weather.rain")


def test_silence_is_missed_of_an_instance_that_is_named_or_had_data(
    harbour: Harbour, tape: Tape
) -> None:
    absent: dict[str, Any] = {"compares": "absent", "levels": [{"severity": "high"}]}
    assert preview(harbour, now=NOON, of_instance=False, **absent).ground == "no_data"
    named = preview(harbour, now=NOON, **absent)
    assert (named.ground, named.count, named.firing_now) == ("judged", 1, Severity.HIGH)
    assert named.spells[0].began_at == NOON - PREVIEWED + MINUTE
    tape.records(NOON - 5 * MINUTE, 1)
    of_all = preview(harbour, now=NOON, of_instance=False, **absent)
    assert [spell.began_at for spell in of_all.spells] == [NOON - 4 * MINUTE]
    assert of_all.spells[0].worst is None


def test_of_many_firings_the_newest_and_what_lasts_are_told(harbour: Harbour, tape: Tape) -> None:
    for minute in range(120):
        tape.records(NOON + minute * MINUTE, 100 if minute % 2 else 9000, part="/often")
    for minute in range(121):
        tape.records(NOON + minute * MINUTE, 9000, part="/always")
    found = preview(harbour, now=NOON + 120 * MINUTE, part="*")
    assert (found.count, len(found.spells)) == (61, 50)
    assert (found.spells[0].part, found.spells[1].part) == ("/always", "/often")
    assert found.spells[1].began_at == NOON + 118 * MINUTE


def test_a_span_that_was_cut_begins_where_it_was_cut(harbour: Harbour, tape: Tape) -> None:
    tape.since = NOON - 60 * MINUTE
    tape.has_more_parts = True
    tape.records(NOON - 90 * MINUTE, 9000)
    found = preview(harbour, now=NOON)
    assert (found.is_cut, found.has_more_parts, found.since) == (True, True, tape.since)
    assert (found.count, found.ground) == (0, "no_data")


def test_a_rule_is_judged_from_calm_on_at_the_begin_of_the_span() -> None:
    value = MeasureRuleFields.model_validate(SLOW)
    rule = Effective(
        id="r",
        project_id="p",
        instance_id=None,
        name="r",
        measure=P95,
        part="",
        window_seconds=300,
        terms=terms_of(value),
    )
    beyond = [Reading(instance_id="i", values={P95: 900.0}, count=1)]
    found = replay(rule, "i", "p", lambda _: beyond, since=NOON, until=NOON + 3 * MINUTE)
    assert [spell.began_at for spell in found.spells] == [NOON + MINUTE]
    assert found.judged_minutes == 3
