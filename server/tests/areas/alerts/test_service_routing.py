"""From firing to messages: gathered, held back, repeated, and told to exactly whom it concerns."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mainstay_server.areas.alerts import jobs
from mainstay_server.areas.alerts.models import (
    Alert,
    AlertChannel,
    AlertType,
    Severity,
)
from mainstay_server.areas.alerts.models.routing import AlertGroup, AlertRoute, AlertTelling
from mainstay_server.areas.alerts.service import by_hand, channels, firing, history, notifications
from mainstay_server.areas.alerts.service.routing import flushing
from mainstay_server.areas.alerts.service.silences import Reach, Wanted, create_silence
from mainstay_server.areas.alerts.settings import AlertSettings
from mainstay_server.contracts.health_checks import HealthCheckFlapping, HealthCheckWentDown
from mainstay_server.kernel.database import new_id, reading, transaction
from mainstay_server.kernel.events.runner import react_to_next
from mainstay_server.kernel.jobs import install_jobs, run_due
from mainstay_server.kernel.jobs.set_back import bring_back
from mainstay_server.kernel.mailing import SmtpSettings
from mainstay_server.kernel.matchers import parse_matchers
from mainstay_server.kernel.settings import override_settings
from tests.areas.alerts.conftest import MINUTE, NOON, Harbour
from tests.databases import on_both_stores
from tests.servers.http import Answer, HttpReceiver, running_http
from tests.servers.smtp import SmtpServer
from tests.world import a_project

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


def fires(
    harbour: Harbour,
    name: str,
    severity: Severity = Severity.CRITICAL,
    *,
    kind: AlertType = AlertType.STORAGE_LIMIT,
    labels: dict[str, str] | None = None,
) -> str:
    """One alert, as a rule would fire it."""
    found = firing.Firing(type=kind, about=name, title=name, message="", labels=labels or {})
    with transaction() as session:
        return firing.open_alert(session, harbour.instance, found, severity, now=harbour.now)[0]


def ends(harbour: Harbour, *names: str, kind: AlertType = AlertType.STORAGE_LIMIT) -> None:
    with transaction() as session:
        for name in names:
            identity = firing.identity_of(kind, name)
            firing.resolve(
                session, harbour.instance.id, identity, resolution="Tidied.", now=harbour.now
            )


def said(receiver: HttpReceiver, path: str = "/") -> list[tuple[str, int]]:
    """What kind of message arrived about how many alerts, in order."""
    bodies = [json.loads(r.body) for r in receiver.requests if r.path == path]
    return [(b["type"].partition(".")[2], b.get("digest", {"count": 1})["count"]) for b in bodies]


def titles(receiver: HttpReceiver) -> list[tuple[str, str]]:
    """What kind of message arrived about which alert, those of digests one by one, in order."""
    found: list[tuple[str, str]] = []
    for request in receiver.requests:
        body: dict[str, Any] = json.loads(request.body)
        alerts = body["digest"]["alerts"] if "digest" in body else [body["alert"]]
        found.extend((body["type"].partition(".")[2], alert["title"]) for alert in alerts)
    return found


def reason_of(alert_id: str) -> str:
    with reading() as session:
        found = sa.select(AlertTelling.reason).where(AlertTelling.alert_id == alert_id)
        return session.scalars(found).one()


def a_route(harbour: Harbour, matchers: str, *channels: AlertChannel, **more: Any) -> None:
    values: dict[str, Any] = {
        "position": 1,
        "name": "route",
        "goes_on": False,
        "group_by": ["alertname"],
        "wait_seconds": 0,
        "interval_seconds": 60,
        "repeat_seconds": 0,
    }
    with transaction() as session:
        route = AlertRoute(
            id=new_id(),
            organization_id=harbour.instance.organization_id,
            project_id=harbour.instance.project_id,
            matchers=matchers,
            channel_ids=[channel.id for channel in channels],
            created_at=harbour.now,
            **(values | more),
        )
        session.add(route)


def test_a_storm_of_500_is_one_alert_and_one_digest_and_its_end_one_message(
    harbour: Harbour, http_receiver: HttpReceiver, smtp: SmtpServer
) -> None:
    override_settings(
        SmtpSettings(smtp_host=smtp.host, smtp_port=smtp.port, smtp_from="mainstay@ships.example")
    )
    harbour.channel(f"{http_receiver.url}/")
    harbour.channel(email="team@ships.example")
    names = [f"berth-{number:03}" for number in range(500)]

    for place, name in enumerate(names):
        harbour.now = NOON + place * timedelta(milliseconds=100)
        fires(harbour, name)
        if place % 50 == 0:
            harbour.jobs_run()
    while harbour.deliver():
        pass
    assert said(http_receiver) == [("opened", 1)]
    harbour.now = NOON + MINUTE
    harbour.jobs_run()
    assert said(http_receiver) == [("opened", 1), ("opened", 499)]

    harbour.later(HOUR)
    ends(harbour, *names)
    while harbour.deliver():
        pass
    harbour.jobs_run()

    assert said(http_receiver) == [("opened", 1), ("opened", 499), ("resolved", 500)]
    first, digest, over = smtp.messages
    assert first.subject == "[critical] berth-000"
    assert digest.subject == "[critical] 499 alerts of inspections production"
    rows = [line for line in digest.text.splitlines() if line.startswith("Critical berth")]
    assert rows[:2] == ["Critical berth-001 | 1 Mar, 12:00", "Critical berth-002 | 1 Mar, 12:00"]
    assert "And 449 more." in digest.text
    assert over.subject == "[resolved] 500 alerts of inspections production are over"
    with reading() as session:
        told = history.deliveries_of(session, [alert.id for alert in harbour.alerts()])
        listed = history.list_notifications(session, harbour.instance.project_id, limit=50)
    assert {(each.delivered, each.total) for each in told.values()} == {(4, 4)}
    assert len(listed.items) == 6, "a message is listed once, however many alerts it tells of"
    harbour.later(HOUR)
    harbour.jobs_run()
    assert len(http_receiver.requests) == 3


def test_what_is_over_before_it_was_told_is_never_told(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    fires(harbour, "one")
    fires(harbour, "two")
    fires(harbour, "three")
    harbour.deliver()
    harbour.later(10 * SECOND)
    ends(harbour, "two")
    harbour.deliver()
    harbour.later(MINUTE)
    harbour.jobs_run()
    harbour.later(MINUTE)
    ends(harbour, "one", "three")
    harbour.deliver()

    assert titles(http_receiver) == [
        ("opened", "one"),
        ("opened", "three"),
        ("resolved", "one"),
        ("resolved", "three"),
    ]


def test_the_end_of_one_of_several_waits_for_the_others_an_interval_at_most(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    for name in ("one", "two", "three"):
        fires(harbour, name)
        harbour.deliver()
        harbour.later(2 * MINUTE)
    ends(harbour, "one")
    harbour.deliver()
    harbour.later(30 * SECOND)
    ends(harbour, "two")
    harbour.deliver()
    assert said(http_receiver) == [("opened", 1)] * 3
    harbour.later(30 * SECOND)
    harbour.jobs_run()
    assert said(http_receiver)[3:] == [("resolved", 2)]
    ends(harbour, "three")
    harbour.deliver()
    assert said(http_receiver)[3:] == [("resolved", 2), ("resolved", 1)]


def test_what_begins_again_is_told_after_its_end(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    for name in ("one", "two"):
        fires(harbour, name)
        harbour.deliver()
        harbour.later(2 * MINUTE)
    ends(harbour, "one")  # waits, since "two" stands
    harbour.deliver()
    harbour.later(10 * SECOND)
    fires(harbour, "one")
    harbour.deliver()
    assert titles(http_receiver)[2:] == [("resolved", "one"), ("opened", "one")]


def test_alerts_of_other_kinds_and_severities_wait_for_nobody(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    fires(harbour, "one", Severity.INFO)
    fires(harbour, "two", Severity.CRITICAL)
    fires(harbour, "three", Severity.INFO, kind=AlertType.BACKUP_FAILED)
    harbour.deliver()
    assert said(http_receiver) == [("opened", 1)] * 3


def test_an_end_does_not_overtake_the_beginnings_it_gathers(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    http_receiver.answer(Answer(status=200), Answer(status=503))
    for name in ("one", "two", "three"):
        fires(harbour, name)
    harbour.deliver()
    harbour.later(MINUTE)
    harbour.jobs_run()  # the digest of two and three is put off
    ends(harbour, "one", "two", "three")
    harbour.deliver()
    assert said(http_receiver) == [("opened", 1), ("opened", 2), ("resolved", 1)]
    assert titles(http_receiver)[-1] == ("resolved", "one")

    harbour.later(MINUTE)
    harbour.deliver()
    harbour.jobs_run()
    assert said(http_receiver)[3:] == [("opened", 2), ("resolved", 2)]


def test_every_alert_is_an_incident_of_its_own_at_pagerduty(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    override_settings(AlertSettings(pagerduty_url=http_receiver.url))
    harbour.channel_of("pagerduty", {"routingKey": "0123456789abcdef0123456789abcdef"})
    for name in ("one", "two", "three"):
        fires(harbour, name)
    harbour.deliver()
    ends(harbour, "one", "two", "three")
    harbour.deliver()
    events = [json.loads(request.body) for request in http_receiver.requests]
    assert [event["event_action"] for event in events] == ["trigger"] * 3 + ["resolve"] * 3
    assert len({event["dedup_key"] for event in events}) == 3


def test_a_digest_that_failed_is_sent_again_with_all_it_gathers(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    for name in ("one", "two", "three"):
        fires(harbour, name)
    harbour.deliver()
    http_receiver.answer(Answer(status=422))
    harbour.later(MINUTE)
    harbour.jobs_run()
    assert [n.state for n in harbour.notifications()] == ["delivered", "failed", "failed"]
    digest = next(n for n in harbour.notifications() if n.state == "failed" and not n.carried_by)
    with reading() as session:
        assert history.count_failed(session, harbour.instance.project_id) == 1

    with transaction() as session:
        notifications.resend(
            session, digest.id, project_id=harbour.instance.project_id, now=harbour.now
        )
    harbour.deliver()

    assert said(http_receiver) == [("opened", 1), ("opened", 2), ("opened", 2)]
    assert [n.state for n in harbour.notifications()] == ["delivered"] * 3
    keys = [request.headers["idempotency-key"] for request in http_receiver.requests]
    assert keys[1] == keys[2]


def silence(harbour: Harbour, matchers: str, until: datetime) -> None:
    reach = Reach(
        organization_id=harbour.instance.organization_id, project_id=harbour.instance.project_id
    )
    wanted = Wanted(
        matchers=parse_matchers(matchers),
        starts_at=harbour.now,
        ends_at=until,
        by="Alice",
        comment="Moving berths",
    )
    with transaction() as session:
        create_silence(session, reach, wanted, now=harbour.now)


def test_what_outlasts_a_silence_is_told_then_and_what_ended_in_it_is_not(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    silence(harbour, "alertname=storage_limit", NOON + HOUR)
    lasting, short = fires(harbour, "lasting"), fires(harbour, "short")
    other = fires(harbour, "other", kind=AlertType.BACKUP_FAILED)
    harbour.deliver()
    assert titles(http_receiver) == [("opened", "other")]
    assert reason_of(lasting) == "silenced by Alice: Moving berths"
    assert reason_of(other) == ""
    harbour.later(30 * MINUTE)
    ends(harbour, "short")
    harbour.jobs_run()
    assert len(http_receiver.requests) == 1

    harbour.later(30 * MINUTE)
    harbour.jobs_run()
    assert titles(http_receiver)[1:] == [("opened", "lasting")]
    assert reason_of(lasting) == reason_of(short) == ""
    ends(harbour, "lasting")
    harbour.deliver()
    harbour.jobs_run()
    assert titles(http_receiver)[2:] == [("resolved", "lasting")]


def test_who_heard_the_beginning_hears_the_end_though_it_is_silenced_meanwhile(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    fires(harbour, "one")
    harbour.deliver()
    silence(harbour, "alertname=storage_limit", NOON + HOUR)
    harbour.later(MINUTE)
    ends(harbour, "one")
    harbour.deliver()
    assert titles(http_receiver) == [("opened", "one"), ("resolved", "one")]


def test_what_is_silenced_while_it_waits_is_held_back(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    fires(harbour, "one")
    fires(harbour, "two")
    harbour.deliver()
    silence(harbour, "alertname=storage_limit", NOON + HOUR)
    harbour.later(MINUTE)
    harbour.jobs_run()
    assert titles(http_receiver) == [("opened", "one")]
    harbour.later(HOUR)
    harbour.jobs_run()
    assert titles(http_receiver)[1:] == [("opened", "two")]


def test_a_critical_alert_mutes_a_milder_one_of_the_same_check_until_it_ends(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    about = {"health_check": "web"}
    fires(harbour, "down", kind=AlertType.BACKUP_FAILED, labels=about)
    slow = fires(harbour, "slow", Severity.WARNING, labels=about)
    fires(harbour, "elsewhere", Severity.WARNING, labels={"health_check": "mail"})
    harbour.deliver()
    assert titles(http_receiver) == [("opened", "down"), ("opened", "elsewhere")]
    assert reason_of(slow) == "inhibited by 'down'"
    ends(harbour, "down", kind=AlertType.BACKUP_FAILED)
    harbour.deliver()
    harbour.later(MINUTE)
    harbour.jobs_run()
    assert titles(http_receiver)[2:] == [("resolved", "down"), ("opened", "slow")]


def test_a_muted_channel_is_told_when_it_listens_again(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    channel = harbour.channel(f"{http_receiver.url}/muted")
    harbour.channel(f"{http_receiver.url}/")
    with transaction() as session:
        session.get_one(AlertChannel, channel.id).mute_times = "Sun 10:00-14:00"  # until 13:00 UTC
        session.get_one(AlertChannel, channel.id).time_zone = "Europe/Berlin"
    fires(harbour, "one")
    harbour.deliver()
    assert said(http_receiver) == [("opened", 1)]
    assert said(http_receiver, "/muted") == []
    harbour.now = NOON + 59 * MINUTE
    harbour.jobs_run()
    assert said(http_receiver, "/muted") == []
    harbour.now = NOON + HOUR
    harbour.jobs_run()
    assert said(http_receiver, "/muted") == [("opened", 1)]
    assert said(http_receiver) == [("opened", 1)]


def test_a_muted_alert_is_told_to_nobody_until_then_and_the_next_one_is(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    alert_id = fires(harbour, "one")
    with transaction() as session:
        session.get_one(Alert, alert_id).muted_until = NOON + HOUR
    harbour.deliver()
    assert reason_of(alert_id) == "muted until 1 Mar 2026, 13:00 UTC"
    ends(harbour, "one")
    harbour.deliver()
    fires(harbour, "one")
    harbour.deliver()
    assert titles(http_receiver) == [("opened", "one")]


def test_routes_lead_levels_and_purposes_to_their_channels(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    paths = ("critical", "backups", "rest")
    critical, backups, rest = (harbour.channel(f"{http_receiver.url}/{path}") for path in paths)
    a_route(harbour, "severity=critical", critical, goes_on=True, position=1)
    a_route(harbour, "alertname=~backup_.*", backups, position=2)
    a_route(harbour, "", rest, position=3)
    fires(harbour, "disk")
    fires(harbour, "dump", kind=AlertType.BACKUP_FAILED)
    fires(harbour, "old dump", Severity.WARNING, kind=AlertType.BACKUP_FAILED)
    harbour.deliver()
    heard = {path: len(said(http_receiver, f"/{path}")) for path in paths}
    assert heard == {"critical": 2, "backups": 1, "rest": 1}
    harbour.later(MINUTE)
    harbour.jobs_run()
    assert said(http_receiver, "/backups") == [("opened", 1), ("opened", 1)]


def test_what_lasts_is_told_again_until_somebody_takes_it_in_hand(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    channel = harbour.channel(http_receiver.url)
    a_route(harbour, "", channel, repeat_seconds=4 * 3600)
    alert_id = fires(harbour, "one")
    harbour.deliver()
    for _ in range(9):
        harbour.later(HOUR)
        harbour.jobs_run()
    bodies = [json.loads(request.body)["alert"] for request in http_receiver.requests]
    assert [body.get("repeat", 0) for body in bodies] == [0, 1, 2]
    assert [r.at for r in http_receiver.requests] == sorted(r.at for r in http_receiver.requests)
    with transaction() as session:
        by_hand.acknowledge_alert(session, alert_id, by="alice", name="Alice", now=harbour.now)
    harbour.later(10 * HOUR)
    harbour.jobs_run()
    assert len(http_receiver.requests) == 3
    ends(harbour, "one")
    harbour.deliver()
    assert said(http_receiver)[3:] == [("resolved", 1)]


def test_what_takes_the_place_of_an_alert_that_was_told_has_its_end_told(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    """Also where it ended while it waited to be told itself."""
    harbour.channel(http_receiver.url)
    harbour.check("database", HealthCheckWentDown)
    harbour.later(10 * SECOND)
    harbour.check("database", HealthCheckFlapping, state="unhealthy")  # waits
    assert said(http_receiver) == [("opened", 1)]
    harbour.later(10 * SECOND)
    with transaction() as session:
        firing.resolve(
            session,
            harbour.instance.id,
            "instance_down:database:flapping",
            resolution="Well.",
            now=harbour.now,
        )
    harbour.deliver()
    harbour.later(MINUTE)
    harbour.jobs_run()
    assert titles(http_receiver) == [
        ("opened", "inspections production: database is down"),
        ("resolved", "inspections production: database is flapping"),
    ]


def test_groups_of_which_nothing_is_left_are_forgotten(harbour: Harbour) -> None:
    harbour.channel("https://hooks.example/")
    fires(harbour, "one")
    harbour.deliver()
    later = harbour.now + HOUR
    with transaction() as session:
        assert flushing.forget_groups(session, before=later) == 0
        session.execute(sa.delete(Alert))
        assert flushing.forget_groups(session, before=harbour.now) == 0
        assert flushing.forget_groups(session, before=later) == 1


@on_both_stores
def test_two_workers_at_once_tell_nothing_twice_and_lose_nothing(harbour: Harbour) -> None:
    with running_http() as receiver:
        harbour.channel(f"{receiver.url}/")
        names = [f"berth-{number:02}" for number in range(40)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda name: fires(harbour, name), names))
            list(pool.map(lambda _: harbour.deliver(), range(4)))
            harbour.deliver()
            harbour.now = NOON + MINUTE
            told = list(pool.map(lambda _: flushing.tell_due(now=harbour.now), range(4)))
            harbour.deliver()
            assert sum(told) == 1
            assert said(receiver) == [("opened", 1), ("opened", 39)]
            harbour.later(HOUR)
            ends(harbour, *names)
            list(pool.map(lambda _: harbour.deliver(), range(4)))
            harbour.deliver()
            harbour.later(MINUTE)
            list(pool.map(lambda _: flushing.tell_due(now=harbour.now), range(4)))
            harbour.deliver()
        ended = [count for kind, count in said(receiver) if kind == "resolved"]
        assert sum(ended) == 40
        assert sorted(title for kind, title in titles(receiver) if kind == "opened") == names
        with reading() as session:
            waiting = sa.select(sa.func.count()).where(AlertGroup.due_at.is_not(None))
            assert session.scalar(waiting) == 0


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["fires", "fires", "ends", "waits", "silence", "job"]), st.integers(0, 4)
    ),
    min_size=1,
    max_size=30,
)


@given(STEPS)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_whatever_happens_each_alert_is_told_once_and_its_end_to_who_heard_it(
    harbour: Harbour, steps: list[tuple[str, int]]
) -> None:
    """An oracle of the promise itself, over any order of beginnings, ends, silences and pauses."""
    with transaction() as session:
        session.execute(sa.delete(Alert))
        session.execute(sa.delete(AlertChannel))
    harbour.later(400 * HOUR)
    harbour.channel("https://hooks.example/")
    for what, number in steps:
        step(harbour, what, number)
    harbour.later(HOUR)  # longer than any silence and any interval
    for _ in range(2):
        flushing.release_held(now=harbour.now)
        harbour.later(MINUTE)
        flushing.tell_due(now=harbour.now)

    told: dict[str, list[str]] = {alert.id: [] for alert in harbour.alerts()}
    for notification in sorted(harbour.notifications(), key=lambda each: each.id):
        told[str(notification.alert_id)].append(notification.change)
    for alert in harbour.alerts():
        if alert.status == "active":
            assert told[alert.id] == ["opened"], "what lasts was told, whatever held it back"
        else:
            assert told[alert.id] in ([], ["opened", "resolved"])


def step(harbour: Harbour, what: str, number: int) -> None:
    if what == "fires":
        fires(harbour, f"thing-{number}")
    elif what == "ends":
        ends(harbour, f"thing-{number}")
    elif what == "silence":
        silence(harbour, 'alertname="storage_limit"', harbour.now + number * MINUTE + SECOND)
    elif what == "waits":
        harbour.later(number * 25 * SECOND)
    react(harbour)
    if what in ("waits", "job"):
        flushing.tell_due(now=harbour.now)
        flushing.release_held(now=harbour.now)


def react(harbour: Harbour) -> None:
    """Run every reaction, but carry no message out: the oracle asks what was written down."""
    while react_to_next(now=harbour.now):
        pass


@on_both_stores
def test_a_reason_is_cut_to_its_column_however_long_the_times_of_a_channel_are(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    channel = harbour.channel(http_receiver.url)
    times = ", ".join(["Mon-Sun 00:00-23:59"] * 20)
    with transaction() as session:
        found = session.get_one(AlertChannel, channel.id)
        channels.change_channel(session, found, quiet={"mute_times": times}, now=NOON)

    alert_id = fires(harbour, "berth")
    harbour.deliver()

    assert len(reason_of(alert_id)) == 300
    assert http_receiver.requests == []


def test_what_cannot_be_told_of_one_project_keeps_no_other_from_being_told(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    with transaction() as session:
        instance = a_project(session, now=NOON, organization="Rival", slug="rival", number=2)
    other = Harbour(instance)
    for each in (harbour, other):
        channel = each.channel(f"{http_receiver.url}/{each.instance.project_slug}")
        a_route(each, "alertname=~.+", channel, wait_seconds=60)
        fires(each, "gathered")
        silence(each, "alertname=heartbeat_missed", NOON + MINUTE)
        fires(each, "held", kind=AlertType.HEARTBEAT_MISSED)
        each.deliver()
    with transaction() as session:
        broken = sa.update(AlertRoute).where(AlertRoute.project_id == harbour.instance.project_id)
        session.execute(broken.values(matchers="}{"))

    other.later(2 * MINUTE)
    other.jobs_run()
    other.later(2 * MINUTE)
    other.jobs_run()

    assert {request.path for request in http_receiver.requests} == {"/rival"}
    assert sorted(titles(http_receiver)) == [("opened", "gathered"), ("opened", "held")]


def test_all_that_is_held_is_looked_at_however_much_there_is(
    harbour: Harbour, http_receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flushing, "HELD_AT_ONCE", 2)
    harbour.channel(http_receiver.url)
    silence(harbour, "berth=old", NOON + 2 * HOUR)
    silence(harbour, "berth=new", NOON + HOUR)
    for number in range(5):
        fires(harbour, f"old {number}", labels={"berth": "old"})
    fires(harbour, "new", labels={"berth": "new"})
    harbour.deliver()
    assert titles(http_receiver) == []

    harbour.later(HOUR + SECOND)
    harbour.jobs_run()

    assert titles(http_receiver) == [("opened", "new")]


@on_both_stores
def test_what_is_gathered_or_repeated_waits_as_planned_though_the_clock_was_set_back(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    channel = harbour.channel(f"{http_receiver.url}/")
    a_route(harbour, "", channel, repeat_seconds=3600)
    install_jobs([jobs.settle_issue_alerts])
    run_due(now=harbour.now - HOUR)
    fires(harbour, "berth-1")
    harbour.jobs_run()
    harbour.later(30 * SECOND)
    fires(harbour, "berth-2")
    run_due(now=harbour.now)
    assert said(http_receiver) == [("opened", 1)]

    harbour.later(-HOUR)
    with transaction() as session:
        known = {jobs.settle_issue_alerts.name: jobs.settle_issue_alerts}
        assert bring_back(session, known, now=harbour.now) == HOUR
    harbour.later(29 * SECOND)
    harbour.jobs_run()
    assert said(http_receiver) == [("opened", 1)]
    harbour.later(SECOND)
    harbour.jobs_run()
    assert said(http_receiver) == [("opened", 1), ("opened", 1)], "a minute after the first"

    harbour.later(HOUR - MINUTE - SECOND)
    harbour.jobs_run()
    assert len(http_receiver.requests) == 2
    harbour.later(SECOND)
    harbour.jobs_run()
    assert len(http_receiver.requests) == 3, "again an hour after the first"
    install_jobs(())
