"""Alerts that other systems send: opened once, kept while they are sent, ended when not."""

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mainstay_server.areas.alerts import jobs
from mainstay_server.areas.alerts.models import (
    Alert,
    AlertReceipt,
    AlertStatus,
    AlertType,
    Severity,
)
from mainstay_server.areas.alerts.schemas.alertmanager import (
    MOST_ALERT_CHARACTERS,
    PostedAlert,
    WebhookAlert,
    read_posted,
    said_of,
)
from mainstay_server.areas.alerts.service import by_hand, receiving, rules
from mainstay_server.contracts.alerts import AlertOpened, AlertResolved
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.jobs import JobState
from mainstay_server.kernel.labels import fingerprint
from tests.areas.alerts.conftest import MINUTE, NOON, Harbour
from tests.databases import on_both_stores

DISK = {"alertname": "DiskFull", "instance": "db-1:9100", "severity": "critical"}


def sends(harbour: Harbour, *posted: PostedAlert) -> int:
    read, faults = read_posted(list(posted), now=harbour.now)
    assert faults == []
    with transaction() as session:
        return receiving.record_sent(
            session,
            harbour.instance.project_id,
            [(each, harbour.instance) for each in read],
            now=harbour.now,
        )


def disk(**facts: Any) -> PostedAlert:
    return PostedAlert(**{"labels": dict(DISK), **facts})


def job_runs(harbour: Harbour) -> int:
    with transaction() as session:
        return receiving.end_unsent(session, now=harbour.now)


def receipt(harbour: Harbour) -> AlertReceipt:
    with reading() as session:
        (alert,) = harbour.alerts()
        return session.get_one(AlertReceipt, alert.id)


def told(harbour: Harbour) -> list[str]:
    return [
        "opened" if isinstance(event, AlertOpened) else "resolved"
        for event in harbour.said()
        if isinstance(event, AlertOpened | AlertResolved)
    ]


@on_both_stores
def test_an_alert_opens_once_and_keeps_exactly_its_labels(harbour: Harbour) -> None:
    annotations = {"summary": "The disk of db-1\nis full", "description": "3 % are left."}
    began = NOON - 3 * MINUTE
    sends(harbour, disk(annotations=annotations, starts_at=began, generator_url="http://p/graph"))
    for _ in range(5):
        harbour.later(MINUTE)
        sends(harbour, disk(annotations=annotations, starts_at=began))

    (alert,) = harbour.alerts()
    assert alert.labels == DISK
    assert alert.fingerprint == fingerprint(DISK)
    assert (alert.type, alert.severity) == (AlertType.EXTERNAL_ALERT, Severity.CRITICAL)
    assert (alert.title, alert.message) == ("The disk of db-1 is full", "3 % are left.")
    assert (alert.opened_at, alert.last_seen_at, alert.count) == (began, NOON + 5 * MINUTE, 1)
    assert receipt(harbour).generator_url == "http://p/graph"
    assert told(harbour) == ["opened"]


def test_one_that_is_not_sent_again_ends_five_minutes_after_it_was_last(harbour: Harbour) -> None:
    sends(harbour, disk())
    harbour.later(MINUTE)
    sends(harbour, disk())
    harbour.later(5 * MINUTE - timedelta(seconds=1))
    assert job_runs(harbour) == 0

    harbour.later(timedelta(seconds=1))
    assert job_runs(harbour) == 1
    assert job_runs(harbour) == 0

    (alert,) = harbour.alerts()
    assert alert.status == AlertStatus.RESOLVED
    assert alert.resolution == receiving.NOT_SENT
    assert told(harbour) == ["opened", "resolved"]


def test_an_end_in_the_past_ends_it_and_telling_so_for_a_quarter_of_an_hour_changes_nothing(
    harbour: Harbour,
) -> None:
    sends(harbour, disk(starts_at=NOON, ends_at=NOON + 4 * MINUTE))
    harbour.later(2 * MINUTE)
    ended = harbour.now
    for _ in range(15):
        sends(harbour, disk(starts_at=NOON, ends_at=ended))
        harbour.later(MINUTE)

    (alert,) = harbour.alerts()
    assert (alert.status, alert.resolution) == (AlertStatus.RESOLVED, receiving.SAID_OVER)
    assert told(harbour) == ["opened", "resolved"]


def test_what_was_over_before_this_firing_began_ends_nothing(harbour: Harbour) -> None:
    sends(harbour, disk(starts_at=NOON, ends_at=NOON + 4 * MINUTE))
    sends(harbour, disk(starts_at=NOON - 9 * MINUTE, ends_at=NOON - MINUTE))

    assert harbour.active() == [f"external_alert:{fingerprint(DISK)}"]


def test_firing_again_after_the_end_is_another_alert(harbour: Harbour) -> None:
    sends(harbour, disk())
    sends(harbour, disk(starts_at=NOON - MINUTE, ends_at=NOON))
    harbour.later(MINUTE)
    sends(harbour, disk())

    assert [alert.status for alert in harbour.alerts()] == ["resolved", "active"]


def test_the_earliest_start_the_newest_words_and_the_latest_chosen_end_are_kept(
    harbour: Harbour,
) -> None:
    sends(harbour, disk(starts_at=NOON, ends_at=NOON + 9 * MINUTE, annotations={"summary": "A"}))
    sends(
        harbour,
        disk(starts_at=NOON - MINUTE, ends_at=NOON + 4 * MINUTE, annotations={"summary": "B"}),
    )

    (alert,) = harbour.alerts()
    assert (alert.title, alert.annotations) == ("B", {"summary": "B"})
    assert alert.opened_at == NOON - MINUTE
    assert receipt(harbour).live_until == NOON + 9 * MINUTE


def test_a_chosen_end_takes_the_place_of_one_by_time_out(harbour: Harbour) -> None:
    sends(harbour, disk())
    sends(harbour, disk(starts_at=NOON, ends_at=NOON + 2 * MINUTE))

    assert receipt(harbour).live_until == NOON + 2 * MINUTE


def test_one_that_somebody_resolved_stays_so_while_it_is_sent(harbour: Harbour) -> None:
    sends(harbour, disk())
    (alert,) = harbour.alerts()
    with transaction() as session:
        by_hand.resolve_alert(
            session, harbour.instance.id, alert.id, person_id="p", name="Alice", now=NOON
        )
    for _ in range(10):
        harbour.later(MINUTE)
        sends(harbour, disk())
        job_runs(harbour)
    assert len(harbour.alerts()) == 1

    harbour.later(6 * MINUTE)
    job_runs(harbour)
    sends(harbour, disk())

    assert [each.status for each in harbour.alerts()] == ["resolved", "active"]


def test_the_rule_gives_the_severity_that_labels_do_not_and_may_be_off(harbour: Harbour) -> None:
    instance = harbour.instance
    about = (instance.organization_id, instance.project_id, None)
    plain = PostedAlert(labels={"alertname": "Odd", "severity": "purple"})
    sends(harbour, plain, PostedAlert(labels={"alertname": "P", "severity": "PAGE"}))
    assert [alert.severity for alert in harbour.alerts()] == ["warning", "critical"]

    with transaction() as session:
        changes = {"enabled": False}
        rules.change_rule(session, about, AlertType.EXTERNAL_ALERT, changes, now=NOON)
    sends(harbour, PostedAlert(labels={"alertname": "Other"}))

    assert len(harbour.alerts()) == 2


def test_beyond_the_limit_new_ones_are_left_out_and_live_ones_renewed(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "MOST_LIVE", 2)
    many = [PostedAlert(labels={"alertname": str(n)}) for n in range(5)]

    assert sends(harbour, *many) == 3
    harbour.later(MINUTE)
    assert sends(harbour, *many) == 3

    assert [alert.last_seen_at for alert in harbour.alerts()] == [NOON + MINUTE] * 2


@pytest.mark.parametrize(
    ("alert", "fault"),
    [
        (PostedAlert(labels={}), "at least one label pair required"),
        (PostedAlert(labels={"a": ""}), "at least one label pair required"),
        (PostedAlert(labels={"": "x"}), "has no name"),
        (disk(starts_at=NOON, ends_at=NOON - MINUTE), "start time must be before end time"),
        (disk(annotations={"a": "x" * MOST_ALERT_CHARACTERS}), "shorten its annotations"),
        (PostedAlert(labels={str(n): "x" for n in range(101)}), "send fewer"),
    ],
)
def test_what_makes_no_sense_is_told_by_its_place_and_the_rest_is_taken(
    alert: PostedAlert, fault: str
) -> None:
    read, faults = read_posted([disk(), alert], now=NOON)

    assert len(read) == 1
    assert said_of(faults).startswith("alert 1: ")
    assert fault in said_of(faults)


def test_only_the_first_faults_are_told() -> None:
    _, faults = read_posted([PostedAlert(labels={})] * 12, now=NOON)

    assert said_of(faults).endswith("and 2 more")


def test_a_webhook_tells_of_the_end_by_a_word() -> None:
    over = WebhookAlert(labels=dict(DISK), status="resolved", starts_at=NOON - MINUTE)
    later = WebhookAlert(labels=dict(DISK), status="resolved", ends_at=NOON + MINUTE)
    read, _ = read_posted([over, later], now=NOON)

    assert [each.ends_at <= NOON for each in read] == [True, True]


TIMES = st.none() | st.datetimes().map(lambda at: at.replace(tzinfo=NOON.tzinfo))
POSTED = st.builds(
    PostedAlert,
    labels=st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=4),
    annotations=st.none() | st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3),
    starts_at=TIMES,
    ends_at=TIMES,
    generator_url=st.none() | st.text(max_size=20),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.lists(POSTED, max_size=4), max_size=4))
def test_whatever_is_sent_each_set_of_labels_is_active_at_most_once_and_only_while_it_lasts(
    harbour: Harbour, posts: list[list[PostedAlert]]
) -> None:
    with transaction() as session:
        session.query(AlertReceipt).delete()
        session.query(Alert).delete()
    for posted in posts:
        read, _ = read_posted(posted, now=harbour.now)
        with transaction() as session:
            receiving.record_sent(
                session,
                harbour.instance.project_id,
                [(each, harbour.instance) for each in read],
                now=harbour.now,
            )
        lasting = {each.fingerprint for each in read if each.ends_at > harbour.now}
        active = [each.fingerprint for each in harbour.alerts() if each.status == "active"]
        assert len(active) == len(set(active))
        if len({each.fingerprint for each in read}) == len(read):
            assert lasting <= set(active)
        harbour.later(10 * MINUTE)
        job_runs(harbour)
        with reading() as session:
            live = session.query(AlertReceipt).where(AlertReceipt.live_until.is_not(None)).all()
            assert all(each.live_until and each.live_until > harbour.now for each in live)


def door_runs(harbour: Harbour, *, last: datetime) -> object:
    """Let the job run, which last ended at some moment."""
    with transaction() as session:
        session.execute(sa.update(JobState).values(finished_at=last))
        return jobs.end_unsent_alerts.function(session, now=harbour.now)


def test_after_a_standstill_of_our_own_nothing_ends_before_its_sender_could_send_it_again(
    harbour: Harbour,
) -> None:
    sends(harbour, disk())
    with transaction() as session:
        session.add(JobState(name=jobs.end_unsent_alerts.name, due_at=NOON))

    harbour.later(10 * MINUTE)
    assert door_runs(harbour, last=NOON) == 0
    assert len(harbour.active()) == 1

    second = timedelta(seconds=1)
    harbour.later(5 * MINUTE - second)
    assert door_runs(harbour, last=harbour.now - MINUTE) == 0
    harbour.later(second)
    assert door_runs(harbour, last=harbour.now - MINUTE) == 1
    assert harbour.active() == []
