"""Everything audited reaches the log, and nothing secret does."""

from collections.abc import Callable

from mainstay_server.areas import audit
from mainstay_server.areas.audit.reactions import keep_rows
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.events import run_waiting
from tests.areas.audit.worlds import NOON, bodies, rename
from tests.world import World


def test_the_reaction_is_to_everything_that_is_audited_and_to_nothing_else() -> None:
    assert keep_rows.event is None
    assert keep_rows.name == "audit.keep_rows"


def test_a_row_is_kept_once_however_often_the_outbox_is_run(log: None) -> None:
    rename(3)
    run_waiting(now=NOON)

    with reading() as session:
        assert len(bodies(session)) == 3


def test_what_a_person_does_by_the_api_is_in_the_log_a_moment_later(
    client_for: Callable[..., World],
) -> None:
    world = client_for(audit.area)
    world.alice.patch("/api/projects/inspections", json={"name": "Sea Trials"})
    run_waiting(now=utc_now())

    (row,) = world.alice.get("/api/audit-logs").json()["auditLogs"]

    assert row["action"] == "project.changed"
    assert row["changes"] == {"name": ["Inspections", "Sea Trials"]}
    assert (row["actor"]["name"], row["actor"]["email"]) == ("Alice", "alice@ships.example")
    assert (row["address"], row["client"]) == ("testclient", "testclient")
