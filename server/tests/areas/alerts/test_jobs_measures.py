"""Rules over measures, judged once a minute: told once, graver and milder, and over."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from mainstay_server.areas import alerts
from mainstay_server.areas.alerts import jobs
from mainstay_server.areas.alerts.schemas.measure_rules import MeasureRuleValue
from mainstay_server.areas.alerts.service import by_hand
from mainstay_server.areas.alerts.service.measures import measure_rules
from mainstay_server.areas.alerts.service.measures.default_rules import DEFAULT_RULES
from mainstay_server.contracts.alerts import AlertOpened, AlertResolved
from mainstay_server.kernel.area import Area, install, installed
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.measures import Measure, MeasureFamily, Reading
from mainstay_server.kernel.problems import Conflict, Invalid
from mainstay_server.tenancy.subjects import ProjectRef, find_project
from sqlalchemy.orm import Session
from tests.areas.alerts.conftest import MINUTE, Harbour
from tests.world import a_project

SLOW = {
    "name": "Slow",
    "measure": "requests.p95_ms",
    "levels": [
        {"severity": "warning", "threshold": 800, "clear": 700},
        {"severity": "critical", "threshold": 3000},
    ],
    "clearSeconds": 0,
}


@dataclass
class Gauge:
    """An area that measures whatever a test says, and notes how often it is asked."""

    readings: list[Reading] = field(default_factory=list)
    asked: list[tuple[timedelta, bool]] = field(default_factory=list)

    def read(
        self, session: Session, *, since: datetime, until: datetime, by_part: bool
    ) -> Sequence[Reading]:
        self.asked.append((until - since, by_part))
        return [reading for reading in self.readings if bool(reading.part) is by_part]

    def shows(self, instance_id: str, value: float, *, part: str = "", count: int = 100) -> None:
        self.readings = [
            each for each in self.readings if (each.instance_id, each.part) != (instance_id, part)
        ]
        self.readings.append(
            Reading(
                instance_id=instance_id,
                values={"requests.p95_ms": value, "requests.count": float(count)},
                part=part,
                count=count,
            )
        )


@pytest.fixture
def gauge(harbour: Harbour) -> Iterator[Gauge]:
    made = Gauge()
    names = (("requests.p95_ms", "ms"), ("requests.count", "count"))
    measured = tuple(
        Measure(name=name, title=f"Of {name}", unit=unit, description="")  # type: ignore[arg-type]
        for name, unit in names
    )
    family = MeasureFamily(measures=measured, read=made.read, part="endpoint", counts="requests")
    before = installed()
    install((alerts.area, Area(name="requests", title="Requests", measures=(family,))))
    # The default over the same measure would be heard as well.
    write(harbour, "slow-responses", enabled=False)
    yield made
    install(before)


def project_of(harbour: Harbour) -> ProjectRef:
    with reading() as session:
        found = find_project(session, harbour.instance.project_slug)
        assert found is not None
        return found


def write(harbour: Harbour, rule_id: str = "", **fields: Any) -> str:
    """Write a rule of the whole project, or change one."""
    project = project_of(harbour)
    with transaction() as session:
        if rule_id:
            changed = measure_rules.change_rule(session, project, rule_id, fields, now=harbour.now)
            return changed.id
        instance_id = fields.pop("instance_id", None)
        value = MeasureRuleValue.model_validate(SLOW | fields)
        return measure_rules.create_rule(session, project, instance_id, value, now=harbour.now).id


def remove(harbour: Harbour, rule_id: str) -> None:
    project = project_of(harbour)
    with transaction() as session:
        measure_rules.remove_rule(session, project, rule_id, now=harbour.now)


def a_minute(harbour: Harbour) -> list[tuple[str, str]]:
    """Let a minute pass; the severities and titles of what is active then."""
    harbour.later(MINUTE)
    jobs.judge_measure_rules.function(now=harbour.now)
    harbour.deliver()
    return [(a.severity, a.title) for a in harbour.alerts() if a.status == "active"]


def test_a_value_beyond_its_limit_is_one_alert_until_it_is_well(
    harbour: Harbour, gauge: Gauge
) -> None:
    write(harbour)
    gauge.shows(harbour.instance.id, 800)
    assert a_minute(harbour) == []
    gauge.shows(harbour.instance.id, 801.5)
    assert a_minute(harbour) == [("warning", "inspections production: Slow")]
    gauge.shows(harbour.instance.id, 750)
    assert a_minute(harbour) == [("warning", "inspections production: Slow")]
    gauge.shows(harbour.instance.id, 700)
    assert a_minute(harbour) == []

    (alert,) = harbour.alerts()
    assert alert.type == "threshold_passed"
    assert alert.message == (
        "Of requests.p95_ms: 802 ms over the last 5 min; warning is above 800 ms."
    )
    assert alert.resolution == "Of requests.p95_ms: 700 ms."
    assert alert.labels["rule"] == "Slow"
    assert [type(event) for event in harbour.said() if "Rule" not in type(event).__name__] == [
        AlertOpened,
        AlertResolved,
    ]


def test_worse_takes_the_place_of_bad_and_back(harbour: Harbour, gauge: Gauge) -> None:
    write(harbour)
    gauge.shows(harbour.instance.id, 1000)
    a_minute(harbour)
    gauge.shows(harbour.instance.id, 4000)
    assert a_minute(harbour) == [("critical", "inspections production: Slow")]
    gauge.shows(harbour.instance.id, 1000)
    assert a_minute(harbour) == [("warning", "inspections production: Slow")]
    first, second, third = harbour.alerts()
    assert (second.supersedes, third.supersedes) == (first.id, second.id)


def test_nothing_is_told_before_it_has_lasted_nor_of_too_few(
    harbour: Harbour, gauge: Gauge
) -> None:
    write(harbour, forSeconds=120, minimumCount=20)
    gauge.shows(harbour.instance.id, 9000, count=19)
    assert [a_minute(harbour) for _ in range(4)] == [[]] * 4
    gauge.shows(harbour.instance.id, 9000, count=20)
    told = [bool(a_minute(harbour)) for _ in range(4)]
    assert told == [False, False, True, True]
    gauge.readings = []
    assert a_minute(harbour) == []
    assert harbour.alerts()[0].resolution == "There are too few requests to tell any more."


def test_what_somebody_ended_by_hand_is_not_told_again_until_it_was_well(
    harbour: Harbour, gauge: Gauge
) -> None:
    write(harbour)
    gauge.shows(harbour.instance.id, 1000)
    a_minute(harbour)
    (alert,) = harbour.alerts()
    with transaction() as session:
        by_hand.resolve_alert(
            session, alert.instance_id, alert.id, person_id="p", name="Bob", now=harbour.now
        )
    assert a_minute(harbour) == []
    gauge.shows(harbour.instance.id, 100)
    a_minute(harbour)
    gauge.shows(harbour.instance.id, 1000)
    assert len(a_minute(harbour)) == 1


def test_each_part_is_judged_by_itself_and_one_part_alone(harbour: Harbour, gauge: Gauge) -> None:
    write(harbour, name="Each", part="*")
    write(harbour, name="Checkout", part="/checkout")
    for path, value in (("/checkout", 900), ("/search", 5000), ("/", 10)):
        gauge.shows(harbour.instance.id, value, part=path)
    assert sorted(a_minute(harbour)) == [
        ("critical", "inspections production: Each (/search)"),
        ("warning", "inspections production: Checkout (/checkout)"),
        ("warning", "inspections production: Each (/checkout)"),
    ]


def test_a_part_that_falls_silent_is_still_named_when_it_gets_milder(
    harbour: Harbour, gauge: Gauge
) -> None:
    write(harbour, part="*", clearSeconds=60)
    gauge.shows(harbour.instance.id, 5000, part="/checkout")
    a_minute(harbour)
    # Critical is over at 3,000, warning has another minute to go when the last request was.
    gauge.shows(harbour.instance.id, 2000, part="/checkout")
    a_minute(harbour)
    gauge.readings = []
    assert a_minute(harbour) == [("warning", "inspections production: Slow (/checkout)")]
    alert = harbour.alerts()[-1]
    assert alert.labels["part"] == "/checkout"
    assert alert.message == (
        "Of requests.p95_ms of endpoint /checkout: too few requests to tell over the last 5 min;"
        " warning is above 800 ms."
    )
    assert "value" not in alert.annotations


def test_silence_is_told_where_there_were_data_before(harbour: Harbour, gauge: Gauge) -> None:
    with transaction() as session:
        quiet = a_project(
            session, organization="Quiet", slug="quiet", number=2, key="q" * 32, now=harbour.now
        )
    absent: dict[str, Any] = {
        "measure": "requests.count",
        "compares": "absent",
        "windowSeconds": 900,
        "levels": [{"severity": "high"}],
    }
    write(harbour, name="No requests", **absent)
    assert a_minute(harbour) == []
    gauge.shows(harbour.instance.id, 1)
    assert a_minute(harbour) == []
    gauge.readings = []
    assert a_minute(harbour) == [("high", "inspections production: No requests")]
    (alert,) = harbour.alerts()
    assert (alert.type, alert.message) == ("no_data", "There were no requests for 15 min.")
    gauge.shows(harbour.instance.id, 1)
    assert a_minute(harbour) == []
    assert harbour.alerts()[0].resolution == "There are requests again."
    assert quiet.id not in {alert.instance_id for alert in harbour.alerts()}


def test_whoever_names_an_instance_expects_data_of_it(harbour: Harbour, gauge: Gauge) -> None:
    write(
        harbour,
        instance_id=harbour.instance.id,
        measure="requests.count",
        compares="absent",
        levels=[{"severity": "critical"}],
    )
    assert len(a_minute(harbour)) == 1


def test_a_rule_that_goes_takes_its_alert_along(harbour: Harbour, gauge: Gauge) -> None:
    first, second = write(harbour), write(harbour, name="Other")
    gauge.shows(harbour.instance.id, 1000)
    assert len(a_minute(harbour)) == 2
    remove(harbour, first)
    write(harbour, second, enabled=False)
    assert a_minute(harbour) == []
    assert {a.resolution for a in harbour.alerts()} == {
        "The rule was removed, switched off, or does not apply here any more."
    }


def test_a_default_holds_until_the_project_changes_it(harbour: Harbour, gauge: Gauge) -> None:
    gauge.shows(harbour.instance.id, 6000)
    assert a_minute(harbour) == []  # the fixture switched it off
    remove(harbour, "slow-responses")
    told = [a_minute(harbour) for _ in range(6)]
    assert told[4] == []
    assert told[5] == [("high", "inspections production: Responses are slow")]


def test_a_thousand_rules_ask_each_measure_once_for_each_window(
    harbour: Harbour, gauge: Gauge
) -> None:
    for number in range(50):
        write(harbour, name=f"p95 {number}")
        write(harbour, name=f"count {number}", measure="requests.count", part="*")
    a_minute(harbour)
    assert gauge.asked == [(timedelta(minutes=5), False), (timedelta(minutes=5), True)]
    with pytest.raises(Conflict, match="100 rules"):
        write(harbour, name="one too many")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"measure": "weather.rain"}, "measure must be one of requests.p95_ms"),
        ({"compares": "absent", "part": "*", "levels": [{"severity": "low"}]}, "has no parts"),
        ({"runbook": "unheard of"}, "no runbook 'unheard of'"),
    ],
)
def test_what_cannot_be_judged_is_refused(
    harbour: Harbour, gauge: Gauge, fields: dict[str, Any], why: str
) -> None:
    with pytest.raises(Invalid, match=why):
        write(harbour, **fields)


def test_the_defaults_carry_the_thresholds_of_the_documents() -> None:
    said = {
        (rule.value.measure, level.severity.value, level.threshold)
        for rule in DEFAULT_RULES.values()
        for level in rule.value.levels
    }
    assert said >= {
        ("requests.p95_ms", "high", 5000),  # an API response above 5 s
        ("requests.p95_ms", "warning", 2000),  # a response above 2 s
        ("requests.error_rate", "critical", 1),
        ("errors.per_hour", "critical", 10),
        ("health_checks.response_ms", "warning", 5000),
        ("health_checks.failing", "high", 1),  # several endpoints
        ("storage.used", "warning", 90),
        ("resources.memory", "warning", 75),
        ("resources.memory", "high", 85),
        ("resources.memory", "critical", 90),
        ("resources.database_cpu", "warning", 80),
        ("traces.query_ms", "warning", 1000),
        ("traces.generation_ms", "medium", 120_000),
    }
    dormant = {rule.key for rule in DEFAULT_RULES.values() if rule.waits_for}
    assert dormant == {"memory", "database-cpu", "slow-queries", "slow-generations"}
    assert all(rule.why_off for rule in DEFAULT_RULES.values() if not rule.value.enabled)
