"""Alerts begin and end once, whoever fires at the same moment."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mainstay_server.areas.alerts.models import AlertType, Severity
from mainstay_server.areas.alerts.service import channels, firing, history, notifications, rules
from mainstay_server.contracts.alerts import AlertOpened, AlertResolved
from mainstay_server.kernel.database import (
    Base,
    close_database,
    engine,
    open_database,
    reading,
    transaction,
)
from mainstay_server.kernel.problems import Conflict
from mainstay_server.kernel.settings import forget_settings
from tests.areas.alerts.conftest import MINUTE, Harbour, a_harbour
from tests.servers.http import running_http
from tests.servers.postgres import PostgresServer

DISK = firing.Firing(type=AlertType.STORAGE_LIMIT, about="disk", title="Disk", message="95 %")


def fires(harbour: Harbour, found: firing.Firing = DISK) -> str | None:
    with transaction() as session:
        return firing.fire(session, harbour.instance, found, now=harbour.now)


def ends(harbour: Harbour) -> str | None:
    with transaction() as session:
        return firing.resolve(
            session, harbour.instance.id, DISK.identity, resolution="Tidied.", now=harbour.now
        )


def test_eight_workers_that_fire_at_once_open_one_alert_and_say_it_once(harbour: Harbour) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: fires(harbour), range(8)))

    (alert,) = harbour.alerts()
    assert ids == {alert.id}
    assert alert.count == 8
    assert [type(event) for event in harbour.said()] == [AlertOpened]


def test_eight_workers_that_resolve_at_once_say_it_once(harbour: Harbour) -> None:
    fires(harbour)
    with ThreadPoolExecutor(8) as pool:
        ended = [one for one in pool.map(lambda _: ends(harbour), range(8)) if one]

    assert len(ended) == 1
    assert [type(event) for event in harbour.said()] == [AlertOpened, AlertResolved]


def test_what_fires_again_after_its_end_is_a_new_alert(harbour: Harbour) -> None:
    first = fires(harbour)
    ends(harbour)
    assert fires(harbour) != first


def test_different_things_of_one_type_are_active_side_by_side(harbour: Harbour) -> None:
    fires(harbour)
    other = firing.Firing(type=DISK.type, about="blobs", title="Blobs", message="99 %")
    fires(harbour, other)
    assert harbour.active() == ["storage_limit:disk", "storage_limit:blobs"]


def test_titles_and_messages_are_cut_to_what_fits(harbour: Harbour) -> None:
    fires(harbour, firing.Firing(type=DISK.type, title="t\x00\n" * 300, message="m" * 5000))
    (alert,) = harbour.alerts()
    assert len(alert.title) == 200
    assert "\n" not in alert.title
    assert len(alert.message) == 2000


def test_active_alerts_are_listed_with_the_gravest_first(harbour: Harbour) -> None:
    for severity in (Severity.INFO, Severity.CRITICAL, Severity.WARNING, Severity.HIGH):
        with transaction() as session:
            named = firing.Firing(type=DISK.type, about=severity, title=severity, message="")
            firing.open_alert(session, harbour.instance, named, severity, now=harbour.now)
        harbour.later(MINUTE)

    with reading() as session:
        titles = [alert.title for alert in history.active_alerts(session, harbour.instance.id)]

    assert titles == ["critical", "high", "warning", "info"]


def test_the_sixth_test_that_waits_is_refused(harbour: Harbour) -> None:
    channel = harbour.channel("https://hooks.example/")
    with transaction() as session:
        found = channels.get_channel(session, harbour.instance.project_id, None, channel.id)
        for _ in range(5):
            notifications.send_test(session, found, now=harbour.now)
        with pytest.raises(Conflict, match="5 tests"):
            notifications.send_test(session, found, now=harbour.now)


def test_an_instance_that_is_gone_gets_no_alert(harbour: Harbour) -> None:
    event = harbour.new_issue("one")
    with transaction() as session:
        session.connection().exec_driver_sql("DELETE FROM instances")
    harbour.happens(event)
    assert harbour.alerts() == []


@pytest.mark.slow
def test_both_relational_stores_keep_one_active_alert_per_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: PostgresServer
) -> None:
    """On PostgreSQL workers really run side by side; SQLite is what the other tests run on."""
    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MAINSTAY_SECRET_KEY", "k" * 32)
    forget_settings()
    open_database(postgres.url_of(postgres.new_database()))
    Base.metadata.create_all(engine())
    with a_harbour() as harbour, running_http() as receiver:
        harbour.channel(receiver.url, project_wide=True)
        about = (harbour.instance.organization_id, harbour.instance.project_id, None)
        with transaction() as session:
            for severity in ("info", "warning"):
                changes = {"severity": severity}
                rules.change_rule(session, about, AlertType.STORAGE_LIMIT, changes, now=harbour.now)
        with ThreadPoolExecutor(8) as pool:
            ids = set(pool.map(lambda _: fires(harbour), range(8)))
            harbour.deliver()
            ended = [one for one in pool.map(lambda _: ends(harbour), range(8)) if one]
        harbour.later(MINUTE)
        harbour.jobs_run()
        assert len(ids) == len(ended) == 1
        assert [alert.count for alert in harbour.alerts()] == [8]
        assert harbour.alerts()[0].severity == "warning"
        assert len(receiver.requests) == 2

        harbour.degrades()
        harbour.later(MINUTE)
        harbour.goes_down()
        harbour.later(MINUTE)
        harbour.recovers()
        assert harbour.active() == []
        assert len(receiver.requests) == 5
    close_database()
    forget_settings()
