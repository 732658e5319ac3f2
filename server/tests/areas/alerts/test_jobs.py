"""Error rates with hysteresis, floods that end, and alerts that are forgotten."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from mainstay_server.areas import alerts
from mainstay_server.areas.alerts import jobs
from mainstay_server.contracts.requests import RequestCount, count_requests
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.jobs import install_jobs, run_due, run_task
from mainstay_server.kernel.ports import install_answers
from tests.areas.alerts.conftest import MINUTE, Harbour
from tests.servers.http import HttpReceiver

HOUR = timedelta(hours=1)


class Traffic:
    """The answer of the requests area: what an instance served, whatever the window."""

    def __init__(self) -> None:
        self.counts: dict[str, RequestCount] = {}
        self.asked: list[timedelta] = []

    def count(self, *, since: datetime, until: datetime) -> dict[str, RequestCount]:
        self.asked.append(until - since)
        return self.counts


@pytest.fixture
def traffic(harbour: Harbour) -> Iterator[Traffic]:
    made = Traffic()
    install_answers((count_requests.answered_by(made.count),))
    yield made
    count_requests.answer = None


def a_minute(harbour: Harbour, traffic: Traffic, *, total: int, errors: int) -> list[str]:
    traffic.counts = {harbour.instance.id: RequestCount(total=total, errors=errors)}
    harbour.later(MINUTE)
    jobs.watch_error_rates.function(now=harbour.now)
    harbour.deliver()
    return harbour.active()


def test_more_than_five_percent_of_errors_is_an_alert(harbour: Harbour, traffic: Traffic) -> None:
    assert a_minute(harbour, traffic, total=100, errors=5) == []
    assert a_minute(harbour, traffic, total=100, errors=6) == ["high_error_rate"]
    (alert,) = harbour.alerts()
    assert alert.severity == "critical"
    assert alert.title == "inspections production answers with errors"
    assert alert.message == "6.0 % of 100 requests failed in the last 5 min; the limit is 5 %."
    assert traffic.asked == [timedelta(minutes=5)] * 2


def test_a_few_requests_say_nothing(harbour: Harbour, traffic: Traffic) -> None:
    assert a_minute(harbour, traffic, total=19, errors=19) == []
    assert a_minute(harbour, traffic, total=20, errors=20) == ["high_error_rate"]


def test_it_ends_after_five_good_minutes_and_a_bad_one_starts_them_anew(
    harbour: Harbour, traffic: Traffic, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    a_minute(harbour, traffic, total=100, errors=50)

    for _ in range(4):
        assert a_minute(harbour, traffic, total=100, errors=0) == ["high_error_rate"]
    assert a_minute(harbour, traffic, total=100, errors=50) == ["high_error_rate"]
    for _ in range(5):
        assert a_minute(harbour, traffic, total=100, errors=0) == ["high_error_rate"]
    assert a_minute(harbour, traffic, total=100, errors=0) == []

    assert len(http_receiver.requests) == 2
    (alert,) = harbour.alerts()
    assert alert.resolution == "At most 5 % of requests failed for 5 min."


def test_silence_ends_it_too(harbour: Harbour, traffic: Traffic) -> None:
    a_minute(harbour, traffic, total=100, errors=50)
    for _ in range(6):
        a_minute(harbour, traffic, total=0, errors=0)
    assert harbour.active() == []


def test_a_flood_ends_an_hour_after_its_last_issue_and_says_how_many(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    harbour.happens(*[harbour.new_issue(f"issue-{i}") for i in range(14)])
    harbour.later(MINUTE)
    harbour.jobs_run()
    assert len(http_receiver.requests) == 2, "the first, and one message of the others"

    harbour.later(58 * MINUTE)
    settle(harbour)
    assert "new_issue:flood" in harbour.active()
    harbour.later(MINUTE)
    settle(harbour)

    assert "new_issue:flood" not in harbour.active()
    harbour.later(MINUTE)
    harbour.jobs_run()
    assert len(http_receiver.requests) == 3
    assert harbour.alerts()[-1].resolution == "It is over: 4 in all, and none for an hour."


def test_alerts_of_single_issues_end_quietly_after_a_day(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    harbour.happens(harbour.new_issue("one"))

    harbour.later(24 * HOUR)
    settle(harbour)

    assert harbour.active() == []
    assert len(http_receiver.requests) == 1


def test_cleaning_up_forgets_what_was_resolved_180_days_ago_and_nothing_active(
    harbour: Harbour,
) -> None:
    harbour.channel("https://hooks.example/")
    harbour.degrades()
    harbour.later(MINUTE)
    harbour.recovers()
    harbour.later(MINUTE)
    harbour.goes_down()
    install_jobs(alerts.area.jobs)

    run_task("cleanup", now=harbour.now + timedelta(days=180) - 2 * MINUTE, lease=MINUTE)
    assert [alert.type for alert in harbour.alerts()] == ["instance_degraded", "instance_down"]
    run_task("cleanup", now=harbour.now + timedelta(days=181), lease=MINUTE)

    assert [alert.type for alert in harbour.alerts()] == ["instance_down"]
    assert {n.alert_id for n in harbour.notifications()} == {harbour.alerts()[0].id}
    install_jobs(())


def test_the_watch_runs_every_minute(harbour: Harbour, traffic: Traffic) -> None:
    install_jobs((jobs.watch_error_rates,))
    run_due(now=harbour.now)
    assert run_due(now=harbour.now + MINUTE) == ["alerts.watch_error_rates"]
    install_jobs(())


def settle(harbour: Harbour) -> None:
    with transaction() as session:
        jobs.settle_issue_alerts.function(session, now=harbour.now)
    harbour.deliver()


def test_a_warning_of_limits_ends_half_an_hour_after_the_last_word_of_them(
    harbour: Harbour, http_receiver: HttpReceiver
) -> None:
    harbour.channel(http_receiver.url)
    harbour.refuses(500)
    harbour.later(20 * MINUTE)
    harbour.refuses(500)
    harbour.later(20 * MINUTE)
    run_due_job(harbour)
    assert harbour.active() == ["rate_limit_exceeded"]

    harbour.later(10 * MINUTE)
    run_due_job(harbour)

    assert harbour.active() == []
    assert len(http_receiver.requests) == 2, "its beginning and its end"


def run_due_job(harbour: Harbour) -> None:
    with transaction() as session:
        jobs.settle_limit_alerts.function(session, now=harbour.now)
    harbour.deliver()
