"""What people do with many alerts at once: each once, whoever else does so at the same moment."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mainstay_server.areas.alerts.models import AlertType, Severity
from mainstay_server.areas.alerts.service import by_hand, firing
from mainstay_server.areas.alerts.service.by_hand import Outcome
from mainstay_server.contracts.alerts import AlertAcknowledged, AlertResolvedByHand
from mainstay_server.kernel.database import Base, close_database, engine, open_database, transaction
from mainstay_server.kernel.events import Event
from mainstay_server.kernel.settings import forget_settings
from tests.areas.alerts.conftest import Harbour, a_harbour
from tests.servers.postgres import PostgresServer

STORM = 60


def storm(harbour: Harbour) -> list[str]:
    """Many alerts that are active at once."""
    ids = []
    with transaction() as session:
        for number in range(STORM):
            found = firing.Firing(
                type=AlertType.STORAGE_LIMIT, about=str(number), title="Disk", message="95 %"
            )
            alert_id, _ = firing.open_alert(
                session, harbour.instance, found, Severity.WARNING, now=harbour.now
            )
            ids.append(alert_id)
    return ids


def act(harbour: Harbour, action: str, ids: list[str], name: str = "Bob") -> dict[str, Outcome]:
    with transaction() as session:
        became = by_hand.ACTIONS[action](
            session, harbour.instance.project_id, ids, by=name.lower(), name=name, now=harbour.now
        )
        return dict(became)


def said_of(harbour: Harbour, kind: type[Event]) -> list[str]:
    return [event.alert_id for event in harbour.said() if isinstance(event, kind)]  # type: ignore[attr-defined] # both have it


def test_each_of_several_is_taken_once_and_said_once(harbour: Harbour) -> None:
    ids = storm(harbour)
    act(harbour, "resolve", ids[:2])
    act(harbour, "acknowledge", ids[2:5], "Alice")
    harbour.said()

    became = act(harbour, "acknowledge", [*ids, "no alert"])

    assert list(became) == [*ids, "no alert"]
    assert Counter(became.values()) == {
        Outcome.DONE: STORM - 5,
        Outcome.ALREADY: 3,
        Outcome.ENDED: 2,
        Outcome.UNKNOWN: 1,
    }
    assert sorted(said_of(harbour, AlertAcknowledged)) == sorted(ids[5:])
    hands = Counter(alert.acknowledged_by for alert in harbour.alerts())
    assert hands == {"bob": STORM - 5, "alice": 3, "": 2}


def test_none_of_another_project_is_touched(harbour: Harbour) -> None:
    ids = storm(harbour)
    with transaction() as session:
        for action in by_hand.ACTIONS.values():
            became = action(session, "another", ids, by="x", name="X", now=harbour.now)
            assert set(became.values()) == {Outcome.UNKNOWN}
    assert {alert.acknowledged_by + alert.status for alert in harbour.alerts()} == {"active"}


def side_by_side(harbour: Harbour) -> None:
    """Eight people act on the same alerts, each in another order."""
    ids = storm(harbour)
    orders = [random.Random(number).sample(ids, len(ids)) for number in range(8)]
    harbour.said()

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda order: act(harbour, "acknowledge", order), orders))
        ended = list(pool.map(lambda order: act(harbour, "resolve", order), orders))

    for tries, other in ((taken, Outcome.ALREADY), (ended, Outcome.ENDED)):
        became = Counter(outcome for each in tries for outcome in each.values())
        assert became == {Outcome.DONE: STORM, other: 7 * STORM}
    said = harbour.said()
    for kind in (AlertAcknowledged, AlertResolvedByHand):
        assert sum(isinstance(event, kind) for event in said) == STORM


def test_people_who_act_on_the_same_alerts_at_once_do_so_once_each(harbour: Harbour) -> None:
    side_by_side(harbour)


@pytest.mark.slow
def test_on_postgresql_they_do_not_wait_for_each_other_in_a_ring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: PostgresServer
) -> None:
    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MAINSTAY_SECRET_KEY", "k" * 32)
    forget_settings()
    open_database(postgres.url_of(postgres.new_database()))
    Base.metadata.create_all(engine())
    with a_harbour() as harbour:
        side_by_side(harbour)
    close_database()
    forget_settings()
