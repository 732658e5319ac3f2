"""The jobs: a round from outside, and the time that nobody watched."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from mainstay_server.areas.health_checks import jobs
from mainstay_server.areas.health_checks.columns import HEALTH_RESULTS
from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.service import recording
from mainstay_server.kernel import columns, outbound
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.jobs import install_jobs, run_task
from mainstay_server.kernel.watching import State
from tests.areas.health_checks.worlds import GRACE, a_check, finished
from tests.servers.http import Answer, running_http


@pytest.fixture(autouse=True)
def stores(database: None, column_store: Callable[..., None]) -> Iterator[None]:
    column_store(HEALTH_RESULTS)
    outbound.open_outbound(allow_private=True)
    install_jobs([jobs.ask_everything, jobs.mark_unwatched])
    yield
    install_jobs(())
    outbound.close_outbound()


def states() -> dict[str, str]:
    with reading() as session:
        return {check.url[-5:]: str(check.state) for check in session.query(HealthCheck)}


def test_the_health_task_asks_everything_that_is_not_paused() -> None:
    with running_http() as app:
        app.answer_at("/sick", Answer(status=500))
        with transaction() as session:
            for number, path in enumerate(("/well", "/sick", "/rest"), 1):
                check = a_check(session, app.url + path, number=number, now=utc_now())
                check.paused = path == "/rest"
        results = run_task("health", now=utc_now(), lease=timedelta(minutes=1))

    assert results == [{"job": "health_checks.ask_everything", "status": "done"}]
    assert states() == {"/well": "healthy", "/sick": "unhealthy", "/rest": "unknown"}
    assert columns.query_value("SELECT count() FROM health_results") == 2


def test_a_round_with_nothing_to_ask_is_done() -> None:
    (result,) = run_task("health", now=utc_now(), lease=timedelta(minutes=1))

    assert result["status"] == "done"


def test_what_no_process_asks_becomes_unknown() -> None:
    with transaction() as session:
        check = a_check(session, now=utc_now())
        one = finished(check, State.HEALTHY, at=utc_now())
        recording.record_results(session, [one], grace_seconds=GRACE)
    later = utc_now() + timedelta(minutes=10)

    with transaction() as session:
        jobs.mark_unwatched.function(session, now=later)

    assert list(states().values()) == ["unknown"]
