"""Ingest keys are found in every form that clients send, and stop when they are disabled."""

import base64
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from mainstay_server.contracts.tenancy import InstanceChanged
from mainstay_server.kernel.database import engine, reading, transaction
from mainstay_server.kernel.events import said_events
from mainstay_server.kernel.problems import Forbidden, Unauthenticated
from mainstay_server.tenancy import senders, versions
from mainstay_server.tenancy.models import IngestKey, Instance, Project
from mainstay_server.tenancy.senders import find_sender, instance_for, known_instance
from tests.tenancy.worlds import KEY, NOON, a_project, an_organization, database_of

OTHER_KEY = "f" * 32


class Clock:
    """A monotonic clock that only moves when told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(senders, "monotonic", made)
    return made


@pytest.fixture
def project(database: None) -> Project:
    with transaction() as session:
        return a_project(session, an_organization(session), slug="ships", number=7)


@pytest.fixture
def queries(project: Project) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if not statement.startswith("BEGIN"):
            seen.append(statement)

    sa.event.listen(engine(), "before_cursor_execute", note)
    yield seen
    sa.event.remove(engine(), "before_cursor_execute", note)


def request(query: str = "", **headers: str) -> dict[str, Any]:
    return {
        "headers": [(n.replace("_", "-").encode(), v.encode()) for n, v in headers.items()],
        "query_string": query.encode(),
    }


def basic(user_name: str) -> str:
    return "Basic " + base64.b64encode(f"{user_name}:".encode()).decode()


FORMS = {
    "X-Sentry-Auth": request(
        x_sentry_auth=f"Sentry sentry_key={KEY}, sentry_version=7, sentry_client=sentry.python/2.75"
    ),
    "X-Sentry-Auth without spaces": request(
        x_sentry_auth=f"sentry sentry_version=7,sentry_client=x/1,sentry_key={KEY},sentry_secret=y"
    ),
    "X-Sentry-Auth, key last": request(x_sentry_auth=f"Sentry sentry_version=7, sentry_key={KEY}"),
    "Authorization: Sentry": request(authorization=f"SENTRY sentry_key={KEY}, sentry_version=7"),
    "Authorization: Basic": request(authorization=basic(KEY)),
    "Authorization: Bearer": request(authorization=f"Bearer {KEY}"),
    "query": request(query=f"sentry_version=7&sentry_key={KEY}&sentry_client=sentry.javascript"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_clients_key_names_its_project(form: str, project: Project) -> None:
    sender = find_sender(FORMS[form], 7)

    assert (sender.project_id, sender.project_number, sender.project_slug) == (
        project.id,
        7,
        "ships",
    )


def test_an_envelopes_dsn_is_enough_alone(project: Project) -> None:
    dsn = f"https://{KEY}:secret@errors.example/base/7"

    assert find_sender(request(), 7, envelope_dsn=dsn).project_id == project.id


@pytest.mark.parametrize(
    "dsn", [f"https://{OTHER_KEY}@errors.example/7", f"https://{KEY}@errors.example/8"]
)
def test_an_envelopes_dsn_must_agree_with_the_request(dsn: str, project: Project) -> None:
    with pytest.raises(Forbidden, match="differ"):
        find_sender(FORMS["query"], 7, envelope_dsn=dsn)


def test_the_first_key_that_works_counts(project: Project) -> None:
    both = request(query=f"sentry_key={KEY}", x_sentry_auth=f"Sentry sentry_key={OTHER_KEY}")

    assert find_sender(both, 7).project_id == project.id


def test_a_key_opens_its_own_project_even_where_no_number_is_named(project: Project) -> None:
    assert find_sender(FORMS["Authorization: Bearer"], None).project_number == 7


@pytest.mark.parametrize(
    "nothing",
    [
        request(),
        request(x_sentry_auth="Sentry sentry_version=7"),
        request(authorization="Basic %%%"),
        request(authorization="Digest abc"),
        request(query="other=1&xsentry_key=abc"),
    ],
)
def test_without_any_key_nobody_knows_who_sends(nothing: dict[str, Any], project: Project) -> None:
    with pytest.raises(Unauthenticated):
        find_sender(nothing, 7)


@pytest.mark.parametrize("key", [OTHER_KEY, "x" * 5000, "\u00e4"])
def test_an_unknown_key_is_refused(key: str, project: Project) -> None:
    with pytest.raises(Forbidden, match="unknown"):
        find_sender(request(query=f"sentry_key={key}"), 7)


def test_a_key_does_not_open_another_project(project: Project) -> None:
    with pytest.raises(Forbidden, match="another project"):
        find_sender(FORMS["query"], 8)


def test_a_flood_of_bad_keys_asks_the_database_once_a_second(
    queries: list[str], clock: Clock
) -> None:
    find_sender(FORMS["query"], 7)
    queries.clear()

    for at in range(1000):
        clock.seconds = 1000 + at / 1000
        with pytest.raises(Forbidden):
            find_sender(request(query=f"sentry_key={at:032x}"), 7)
    assert queries == []

    clock.seconds = 1001.5
    for at in range(1000):
        with pytest.raises(Forbidden):
            find_sender(request(query=f"sentry_key={at:032x}"), 7)
    assert len(queries) == 1


def test_a_key_disabled_by_another_process_stops_within_two_seconds(
    project: Project, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_sender(FORMS["query"], 7)
    monkeypatch.setattr(senders, "LOOK_AGAIN_SECONDS", 99)  # as after a silence: no thread looks
    monkeypatch.setattr(versions, "_note_change", lambda: None)  # as another process would
    disable(KEY)

    clock.seconds += 1.9
    assert find_sender(FORMS["query"], 7).project_id == project.id
    clock.seconds += 0.1
    with pytest.raises(Forbidden):
        find_sender(FORMS["query"], 7)


def test_under_traffic_another_thread_looks_so_that_no_request_waits(
    project: Project, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_sender(FORMS["query"], 7)
    monkeypatch.setattr(versions, "_note_change", lambda: None)
    disable(KEY)

    clock.seconds += 1.0
    find_sender(FORMS["query"], 7)
    for thread in threading.enumerate():
        if thread.name == "ingest-keys":
            thread.join()

    with pytest.raises(Forbidden):
        find_sender(FORMS["query"], 7)


def test_a_key_disabled_here_stops_at_once(project: Project) -> None:
    find_sender(FORMS["query"], 7)
    disable(KEY)

    with pytest.raises(Forbidden):
        find_sender(FORMS["query"], 7)


def test_known_keys_go_on_working_while_the_database_is_away(
    project: Project, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_sender(FORMS["query"], 7)

    def away() -> None:
        raise sa.exc.OperationalError("SELECT", {}, ConnectionError("away"))

    monkeypatch.setattr(senders, "reading", away)
    clock.seconds += 60

    assert find_sender(FORMS["query"], 7).project_id == project.id


def test_an_environment_becomes_an_instance_at_first_sight_and_is_then_remembered(
    project: Project, queries: list[str]
) -> None:
    sender = find_sender(FORMS["query"], 7)
    assert known_instance(sender, "staging") is None

    made = instance_for(sender, "staging")
    # Its creation is a change that makes this process read anew, once.
    assert instance_for(find_sender(FORMS["query"], 7), "staging") == made
    queries.clear()

    assert known_instance(sender, "staging") == made
    assert instance_for(find_sender(FORMS["query"], 7), "staging") == made
    assert queries == []
    assert [(e.environment, e.health_url) for e in said()] == [("staging", "")]


@pytest.mark.parametrize(
    "environment", ["", "None", "  ", "a/b", "a\\b", "a\nb", "a\x00b", "x" * 65, "production"]
)
def test_an_impossible_environment_is_production(environment: str, project: Project) -> None:
    assert instance_for(find_sender(FORMS["query"], 7), environment).environment == "production"
    assert said() == []


def test_a_flood_of_environments_ends_in_production_and_says_so_once(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    with transaction() as session:
        session.add_all(
            Instance(
                id=f"instance-{n}", project_id=project.id, environment=f"pr-{n}", created_at=NOON
            )
            for n in range(98)
        )
    sender = find_sender(FORMS["query"], 7)

    with caplog.at_level(logging.WARNING):
        met = [instance_for(sender, f"new-{n}").environment for n in range(4)]

    assert met == ["new-0", "production", "production", "production"]
    assert [r.getMessage() for r in caplog.records] == [
        "project ships has 100 instances; further environments go to its default one"
    ]


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_an_environment_seen_by_many_at_once_becomes_one_instance(
    kind: str, tmp_path: Path
) -> None:
    with database_of(kind, tmp_path):
        with transaction() as session:
            a_project(session, an_organization(session), slug="ships", number=7)
        sender = find_sender(FORMS["query"], 7)
        ready = threading.Barrier(8)

        def meet(n: int) -> str:
            ready.wait()
            return instance_for(sender, f"preview-{n % 2}").id

        with ThreadPoolExecutor(8) as pool:
            ids = list(pool.map(meet, range(8)))

        assert len(set(ids)) == 2
        assert sorted(event.environment for event in said()) == ["preview-0", "preview-1"]


def test_a_known_key_waits_for_nobody_who_reads_the_keys_anew(project: Project) -> None:
    find_sender(FORMS["query"], 7)

    with senders._Held.looking:  # held as by a thread whose database does not answer
        assert find_sender(FORMS["query"], 7).project_id == project.id


def disable(key: str) -> None:
    with transaction() as session:
        session.execute(sa.update(IngestKey).where(IngestKey.key == key).values(disabled_at=NOON))
        versions.mark_changed(session)


def said() -> list[InstanceChanged]:
    with reading() as session:
        return [e for _, e in said_events(session) if isinstance(e, InstanceChanged)]
