"""Alerts open incidents, join them and end them; the timeline writes itself."""

from typing import Any

import pytest
from mainstay_server.areas.incidents.models import IncidentAlert, IncidentStatus, Severity
from mainstay_server.areas.incidents.service import choices, incidents, states
from mainstay_server.areas.incidents.service.alerts import MOST_ALERTS
from mainstay_server.contracts.health_checks import HealthCheckRecovered, HealthCheckWentDown
from mainstay_server.contracts.heartbeats import HeartbeatWentDown
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.tenancy.subjects import find_project
from tests.world import a_project

from .worlds import HOUR, MINUTE, NOON, SECOND, Harbour


@pytest.fixture
def harbour(shared_memory: None, database: None) -> Harbour:
    return Harbour()


def choose(harbour: Harbour, **changes: object) -> None:
    with transaction() as session:
        project = find_project(session, harbour.instance.project_slug)
        assert project is not None
        choices.change_choices(session, project, changes, now=harbour.now)


def test_a_critical_alert_opens_an_incident_and_a_warning_does_not(harbour: Harbour) -> None:
    harbour.alert("disk is filling", severity="warning")
    assert harbour.incidents() == []
    harbour.alert("shop is down")
    (incident,) = harbour.incidents()
    assert (incident.title, incident.severity) == ("shop is down", Severity.CRITICAL)
    assert incident.automatic
    assert incident.acknowledged_at is None
    assert harbour.timeline() == ["Opened by an alert", "Alert: shop is down"]


@pytest.mark.parametrize(
    ("opens_from", "severity", "expected"),
    [
        ("info", "info", Severity.MINOR),
        ("info", "low", Severity.MINOR),
        ("warning", "medium", Severity.MAJOR),
        ("warning", "warning", Severity.MAJOR),
        ("warning", "high", Severity.MAJOR),
        ("critical", "high", None),
        ("warning", "low", None),
        ("never", "critical", None),
        ("warning", "a word of others", Severity.MAJOR),
    ],
)
def test_a_project_chooses_from_which_severity_on(
    harbour: Harbour, opens_from: str, severity: str, expected: Severity | None
) -> None:
    choose(harbour, opens_from=opens_from)
    harbour.alert(severity=severity)
    found = [incident.severity for incident in harbour.incidents()]
    assert found == ([] if expected is None else [expected])


def test_alerts_of_the_instance_join_while_one_is_active_or_was_lately(harbour: Harbour) -> None:
    first = harbour.alert("shop is slow")
    harbour.now = NOON + 3 * HOUR
    harbour.alert("errors are many", severity="info")  # the first is still active
    assert len(harbour.incidents()) == 1
    harbour.acknowledged(first)
    harbour.over(first)
    with reading() as session:
        second = session.get_one(IncidentAlert, first)
        assert second.resolved_at == harbour.now
    harbour.now += 29 * MINUTE
    harbour.alert("shop is down")
    assert len(harbour.incidents()) == 1


def test_after_the_time_to_join_another_incident_is_opened(harbour: Harbour) -> None:
    choose(harbour, join_minutes=10, resolves_alone=False)
    first = harbour.alert()
    harbour.over(first)
    harbour.now += 10 * MINUTE
    harbour.over(harbour.alert("again"))
    assert len(harbour.incidents()) == 1
    harbour.now += 10 * MINUTE + SECOND
    harbour.alert("much later")
    assert [incident.number for incident in harbour.incidents()] == [1, 2]


def test_a_graver_alert_makes_the_incident_graver(harbour: Harbour) -> None:
    choose(harbour, opens_from="warning")
    harbour.alert("slow", severity="warning")
    harbour.alert("down", severity="critical")
    (incident,) = harbour.incidents()
    assert incident.severity == Severity.CRITICAL
    assert "Raised from major to critical" in harbour.timeline()


def test_what_nobody_took_up_ends_with_its_last_alert(harbour: Harbour) -> None:
    first, second = harbour.alert("one"), harbour.alert("two")
    harbour.now += MINUTE
    harbour.over(first)
    assert harbour.incidents()[0].is_open
    harbour.now += MINUTE
    harbour.over(second)
    (incident,) = harbour.incidents()
    assert incident.status == IncidentStatus.RESOLVED
    assert incident.open_ms == 2 * 60_000
    assert harbour.timeline()[-2:] == ["Alert over: two", "Resolved: its alerts are over"]


def test_what_somebody_took_up_is_watched_until_they_say_that_it_is_over(harbour: Harbour) -> None:
    alert = harbour.alert()
    harbour.now += 90 * SECOND
    harbour.acknowledged(alert, "Ada")
    (incident,) = harbour.incidents()
    assert incident.acknowledged_after_ms == 90_000
    harbour.over(alert)
    (incident,) = harbour.incidents()
    assert incident.status == IncidentStatus.MONITORING
    assert incident.is_open
    harbour.alert("down again")
    assert harbour.incidents()[0].status == IncidentStatus.INVESTIGATING
    assert harbour.timeline() == [
        "Opened by an alert",
        "Alert: shop is down",
        "Ada acknowledged: shop is down",
        "Ada has taken it up",
        "Alert over: shop is down",
        "Monitoring: its alerts are over",
        "Alert: down again",
        "Investigating again: another alert opened",
    ]


def test_one_that_ended_by_itself_opens_again_and_the_calm_does_not_count(harbour: Harbour) -> None:
    harbour.over(harbour.alert())
    harbour.now += 20 * MINUTE
    again = harbour.alert("down again")
    harbour.now += 5 * MINUTE
    harbour.over(again)
    (incident,) = harbour.incidents()
    assert incident.open_ms == 5 * 60_000
    assert "Opened again by an alert" in harbour.timeline()


def test_one_that_a_person_ended_stays_over(harbour: Harbour) -> None:
    alert = harbour.alert()
    with transaction() as session:
        found = incidents.get_incident(session, harbour.instance.project_id, "1", locked=True)
        states.resolve(session, found, now=harbour.now)
    harbour.over(alert)
    harbour.alert("down again")
    first, second = harbour.incidents()
    assert not first.is_open
    assert second.is_open


def test_an_alert_that_takes_the_place_of_another_follows_it(harbour: Harbour) -> None:
    choose(harbour, join_minutes=0)
    slow = harbour.alert("slow")
    harbour.now += HOUR
    down = harbour.alert("down", supersedes=slow)
    harbour.over(slow, superseded_by=down)
    (incident,) = harbour.incidents()
    assert incident.is_open
    harbour.over(down)
    assert not harbour.incidents()[0].is_open


def test_alerts_of_another_instance_open_another_incident(harbour: Harbour) -> None:
    harbour.alert()
    with transaction() as session:
        harbour.instance = a_project(
            session, now=NOON, organization="Other", slug="other", number=2
        )
    harbour.alert()
    assert [incident.number for incident in harbour.incidents()] == [1, 1]
    assert len({incident.project_id for incident in harbour.incidents()}) == 2


def test_one_heard_twice_is_in_it_once(harbour: Harbour) -> None:
    alert = harbour.alert()
    harbour.acknowledged(alert)
    harbour.acknowledged(alert)
    harbour.over(alert)
    harbour.over(alert)
    timeline = harbour.timeline()
    assert len(timeline) == len(set(timeline))
    assert "Alert over: shop is down" in timeline


def test_what_is_seen_of_the_instance_stands_in_the_timeline(harbour: Harbour) -> None:
    seen: dict[str, Any] = {
        **harbour.instance.ids,
        "health_check_id": "check",
        "name": "api",
        "url": "https://shop.example/health",
        "reason": "It answered 503.",
    }
    harbour.hear(HealthCheckWentDown(**seen, since=NOON))
    assert harbour.incidents() == []
    harbour.alert()
    harbour.now += MINUTE
    harbour.hear(HealthCheckWentDown(**seen, since=harbour.now))
    harbour.hear(HealthCheckRecovered(**seen, since=harbour.now, troubled_since=NOON))
    beat: dict[str, Any] = {
        "heartbeat_id": "beat",
        "name": "nightly",
        "since": NOON + HOUR,
        "reason": "late",
    }
    harbour.hear(HeartbeatWentDown(**harbour.instance.ids, **beat))
    assert harbour.timeline()[2:] == [
        "Health check api is down",
        "Health check api is healthy again",
        "Heartbeat nightly did not report",
    ]


def test_a_flood_of_alerts_stops_at_the_limit(harbour: Harbour) -> None:
    harbour.alert()
    (incident,) = harbour.incidents()
    with transaction() as session:
        session.add_all(
            IncidentAlert(
                alert_id=f"alert-{number}",
                incident_id=incident.id,
                instance_id=harbour.instance.id,
                type="new_issue",
                severity="info",
                title="an error",
                opened_at=NOON,
                joined_at=NOON,
            )
            for number in range(MOST_ALERTS - 1)
        )
    one_more = harbour.alert("one too many")
    with reading() as session:
        assert session.get(IncidentAlert, one_more) is None
    assert len(harbour.incidents()) == 1


def test_beyond_the_limit_of_open_ones_none_is_opened(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "MOST_OPEN", 1)
    choose(harbour, join_minutes=0, resolves_alone=False)
    harbour.over(harbour.alert())
    harbour.now += HOUR
    harbour.alert("another")
    (incident,) = harbour.incidents()
    assert "Alert: another" in harbour.timeline()
    assert incident.is_open
