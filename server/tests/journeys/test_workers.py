"""Several processes on one PostgreSQL: every turn and telling once, also when one is killed."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from tests.journeys.crashing import listed, tell, told_by, watch
from tests.journeys.running import Mainstay, running_mainstay
from tests.servers.clickhouse import clickhouse_server
from tests.servers.http import Answer, running_http
from tests.servers.postgres import running_postgres
from tests.servers.redis import running_redis
from tests.waiting import CalmClock, eventually

pytestmark = pytest.mark.slow

LEASE_SECONDS = 5
WORKER = ("serve", "--role", "worker", "--role", "probe")
WATCH_TURNS = """
CREATE TABLE turns (id serial, what text, name text, due_at timestamptz, fence int, owner text,
                    left_until timestamptz, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION note_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.fence > OLD.fence THEN
    INSERT INTO turns (what, name, due_at, fence, owner, left_until)
    VALUES ('claimed', NEW.name, OLD.due_at, NEW.fence, NEW.owner, OLD.leased_until);
  END IF;
  IF NEW.runs > OLD.runs THEN
    INSERT INTO turns (what, name, due_at, fence, owner)
    VALUES ('ran', NEW.name, OLD.due_at, NEW.fence, OLD.owner);
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER note_turn AFTER UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION note_turn();
CREATE FUNCTION note_asking() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO turns (what, name, due_at, fence, owner)
  VALUES ('asked', NEW.url, OLD.next_at, NEW.fence, NEW.owner);
  RETURN NEW;
END $$;
CREATE TRIGGER note_asking AFTER UPDATE ON health_checks FOR EACH ROW
WHEN (NEW.fence > OLD.fence) EXECUTE FUNCTION note_asking();
"""


@dataclass(frozen=True)
class Turn:
    """A claim or a run of one turn, as the database itself noted it; health checks go by URL.

    `left_until` is the end of the lease that somebody left before the claim, if any.
    """

    what: str
    name: str
    due_at: datetime
    owner: str
    left_until: datetime | None
    at: datetime


class Fleet:
    """One web process and two workers over the same stores."""

    def __init__(self, web: Mainstay, workers: list[Mainstay], dsn: str) -> None:
        self.web = web
        self.workers = workers
        self._dsn = dsn
        self._killed: list[Mainstay] = []

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement of its own in the database that the processes share."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            done = connection.execute(statement.encode(), values)
            return done.fetchall() if done.description else []

    def turns(self, name: str = "%") -> list[Turn]:
        return [
            Turn(*row)
            for row in self.sql(
                "SELECT what, name, due_at, owner, left_until, at FROM turns"
                " WHERE name LIKE %s ORDER BY id",
                name,
            )
        ]

    def kill_owner(self, owner: str) -> None:
        """Kill the worker that owns a lease."""
        (worker,) = [w for w in self.workers if owner.split("/")[1] == str(w.pid)]
        worker.kill()
        self._killed.append(worker)

    def restart_killed(self) -> None:
        while self._killed:
            self._killed.pop().start()


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with ExitStack() as stack:
        postgres = stack.enter_context(running_postgres())
        columns = stack.enter_context(clickhouse_server(tmp_path_factory.mktemp("columns")))
        redis = stack.enter_context(running_redis())
        database = postgres.new_database()
        settings = {
            "MAINSTAY_DATABASE_URL": postgres.url_of(database),
            "MAINSTAY_COLUMNS_URL": columns.new_database(),
            "MAINSTAY_SHARED_URL": redis.url,
            "MAINSTAY_SECRET_KEY": "a secret of the tests that is long enough",
            "MAINSTAY_LEASE_SECONDS": str(LEASE_SECONDS),
            "MAINSTAY_OUTBOUND_ALLOW_PRIVATE": "true",
        }
        web = stack.enter_context(running_mainstay(settings, arguments=("serve", "--role", "web")))
        workers = [
            stack.enter_context(running_mainstay(settings, arguments=WORKER)) for _ in range(2)
        ]
        found = Fleet(web, workers, postgres.dsn_of(database))
        found.sql(WATCH_TURNS)
        yield found


# Between two turns: of one that is under way only the end would be noted.
FORGET_TURNS = """
    WITH idle AS (SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE owner <> '')),
    forgotten AS (DELETE FROM turns WHERE EXISTS (SELECT 1 FROM idle))
    SELECT 1 FROM idle
"""


@pytest.fixture
def fleet(processes: Fleet) -> Iterator[Fleet]:
    """The processes, all alive, with nothing noted; whoever a test kills is started again."""
    eventually(lambda: processes.sql(FORGET_TURNS))
    yield processes
    processes.restart_killed()


def test_every_turn_of_every_job_is_run_once(fleet: Fleet) -> None:
    made = set()

    def make_due() -> bool:
        made.update(
            fleet.sql(
                "UPDATE jobs SET due_at = now() WHERE due_at > now() AND owner = ''"
                " RETURNING name, due_at"
            )
        )
        return len(made) > 100 and len({turn.owner for turn in fleet.turns()}) == 2

    eventually(make_due, every_seconds=0.6)  # ends when both have worked
    eventually(lambda: not fleet.sql("SELECT name FROM jobs WHERE due_at <= now() OR owner != ''"))
    turns = fleet.turns()
    ran = Counter((turn.name, turn.due_at) for turn in turns if turn.what == "ran")
    claimed = Counter((turn.name, turn.due_at) for turn in turns if turn.what == "claimed")

    assert made <= set(ran), "turns were missed"
    assert [turn for turn, times in ran.items() if times != 1] == []
    assert claimed == ran
    assert fleet.sql("SELECT name FROM jobs WHERE failures_in_row > 0") == []


def test_every_turn_of_a_check_is_asked_once_and_every_change_told_once(fleet: Fleet) -> None:
    with running_http() as app, running_http() as receiver:
        watch(fleet.web, app, receiver, "told-once")
        app.wait_for(5)
        app.stop()
        receiver.wait_for(1)
        app.start()
        receiver.wait_for(2)
        time.sleep(2 * LEASE_SECONDS)

        assert [told_by(request.body).change for request in receiver.requests] == [
            "alert.opened",
            "alert.resolved",
        ]
        assert len({request.headers["idempotency-key"] for request in receiver.requests}) == 2
        claimed = [turn.due_at for turn in fleet.turns(app.url + "%")]
        assert len(claimed) > 5
        assert sorted(set(claimed)) == claimed, "a turn was taken by both"
        assert {(due - claimed[1]).total_seconds() % 5 for due in claimed[1:]} == {0}
        assert len(app.requests) <= len(claimed), "asked more often than every five seconds"


def test_a_job_whose_worker_is_killed_is_taken_over_after_the_lease_and_finished_once(
    fleet: Fleet,
) -> None:
    name = "health_checks.ask_everything"
    with running_http() as app, running_http() as receiver:
        killed = threading.Event()
        # Nobody gets an answer before the kill, and then only after more than a lease.
        app.answer_at("/", Answer(held_until=killed, delay_seconds=LEASE_SECONDS + 1))
        made = fleet.web.call(
            "POST",
            "/api/instances",
            json={
                "project": fleet.web.project["slug"],
                "environment": "slow",
                "url": app.url,
                "intervalSeconds": 3600,
                "timeoutSeconds": 60,
            },
        )
        assert made.status_code == 201, made.text
        tell(fleet.web, made.json()["id"], receiver)
        checks = f"/api/instances/{made.json()['id']}/health-checks"
        eventually(lambda: fleet.web.get(checks)["healthChecks"])
        (due,) = fleet.sql("UPDATE jobs SET due_at = now() WHERE name = %s RETURNING due_at", name)
        ((owner,),) = eventually(
            lambda: fleet.sql("SELECT owner FROM jobs WHERE name = %s AND owner != ''", name)
        )
        app.wait_for(1)
        fleet.kill_owner(owner)
        calm = CalmClock()
        killed.set()

        def turns() -> list[Turn]:
            return [turn for turn in fleet.turns(name) if (turn.due_at,) == due]

        eventually(
            lambda: [t for t in turns() if t.what == "ran"],
            within_seconds=LEASE_SECONDS + LEASE_SECONDS + 1 + 4,
            calm=calm,
        )
        first, second, ran = turns()
        assert [first.what, second.what, ran.what] == ["claimed", "claimed", "ran"]
        assert first.owner == owner
        assert second.owner == ran.owner != owner
        assert second.left_until is not None
        assert second.at >= second.left_until >= first.due_at + timedelta(seconds=LEASE_SECONDS)

        # Nothing else of it is left, and nobody runs it a second time.
        time.sleep(LEASE_SECONDS)
        assert len(turns()) == 3
        assert fleet.sql("SELECT name FROM jobs WHERE name = %s AND owner != ''", name) == []
        fleet.web.call("DELETE", f"/api/instances/{made.json()['id']}")


def test_a_sending_whose_worker_is_killed_is_sent_again_under_the_same_key(fleet: Fleet) -> None:
    with running_http() as receiver:
        over = threading.Event()
        receiver.answer(Answer(held_until=over))  # nobody is answered before the kill
        tell(fleet.web, fleet.web.instance_id, receiver)
        opened = fleet.web.call(
            "POST",
            f"/api/instances/{fleet.web.instance_id}/alerts",
            json={"type": "backup_failed", "severity": "critical", "title": "By hand"},
        )
        assert opened.status_code in (200, 201), opened.text
        receiver.wait_for(1)
        ((owner,),) = fleet.sql(
            "SELECT owner FROM outbox_deliveries WHERE owner != '' AND status = 'waiting'"
        )
        time.sleep(LEASE_SECONDS + 1)  # whoever lives keeps its lease
        assert len(receiver.requests) == 1
        fleet.kill_owner(owner)
        killed = time.monotonic()
        over.set()

        receiver.wait_for(2)
        assert time.monotonic() - killed > 1
        key = receiver.requests[0].headers["idempotency-key"]
        eventually(
            lambda: fleet.sql(
                "SELECT 1 FROM outbox_deliveries WHERE id = %s AND status = 'done'"
                " AND attempts = 2 AND owner = ''",
                key,
            )
        )
        time.sleep(LEASE_SECONDS + 1)
        assert [r.headers["idempotency-key"] for r in receiver.requests] == [key, key]
        history = f"/api/instances/{fleet.web.instance_id}/alerts?limit=100"
        by_hand = [a for a in listed(fleet.web, history, "alerts") if a["title"] == "By hand"]
        assert [a["id"] for a in by_hand] == [told_by(receiver.requests[0].body).alert_id]
