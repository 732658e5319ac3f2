"""What the scorecard asks about requests, answered from what was measured."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from mainstay_server.areas.requests import readiness, service
from mainstay_server.areas.requests.columns import REQUEST_LOSSES, REQUEST_METRICS
from mainstay_server.areas.requests.schemas import ReceivedRequest, RequestBatch
from mainstay_server.kernel import columns
from mainstay_server.kernel.readiness import Finding, NotApplicable, Passed, ReadinessCheck
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.world import NOON_YESTERDAY

NOW = NOON_YESTERDAY
INSTANCE = InstanceRef(
    id="i1",
    environment="production",
    url="",
    project_id="p1",
    project_number=1,
    project_slug="inspections",
    project_name="Inspections",
    organization_id="o1",
)


@pytest.fixture(autouse=True)
def store(column_store: Callable[..., None]) -> None:
    column_store(REQUEST_METRICS, REQUEST_LOSSES)


def served(count: int, *, status: int = 200, milliseconds: float = 10) -> None:
    batch = RequestBatch(
        requests=[
            ReceivedRequest(
                at=NOW - timedelta(minutes=3),
                method="GET",
                path="/",
                status=status,
                duration_ms=milliseconds,
            )
        ]
        * count
    )
    rows = service.rows_of(batch, instance_id="i1", received_at=NOW)
    columns.append_blocking(REQUEST_METRICS, rows, rows=count)


def ask(check: ReadinessCheck, session: Session) -> object:
    return check.ask(session, INSTANCE, NOW)


def test_an_app_that_reports_nothing_is_found_and_told_the_fix(session: Session) -> None:
    found = ask(readiness.requests_are_measured, session)
    assert isinstance(found, Finding)
    assert "mainstay.init" in found.fix
    assert isinstance(ask(readiness.requests_are_answered, session), NotApplicable)


def test_a_healthy_app_passes_with_the_figures_as_evidence(session: Session) -> None:
    served(200)
    assert ask(readiness.requests_are_measured, session) == Passed(
        evidence="200 in the last day, newest 3 min ago"
    )
    assert ask(readiness.requests_are_answered, session) == Passed(evidence="0.00 % of 200 failed")
    assert ask(readiness.requests_are_fast, session) == Passed(evidence="95 % within 10 ms")


def test_failures_and_slowness_are_found(session: Session) -> None:
    served(95, milliseconds=900)
    served(5, status=500, milliseconds=900)
    failing = ask(readiness.requests_are_answered, session)
    slow = ask(readiness.requests_are_fast, session)
    assert isinstance(failing, Finding)
    assert failing.problem == "5.00 % of the last day's requests failed."
    assert isinstance(slow, Finding)
    assert "900 ms" in slow.problem


def test_requests_that_never_arrived_are_told(session: Session) -> None:
    assert isinstance(ask(readiness.requests_arrive, session), NotApplicable)
    served(1)
    assert isinstance(ask(readiness.requests_arrive, session), Passed)

    loss = service.loss_of(
        RequestBatch(requests=[], dropped=1_200),
        instance_id="i1",
        received_at=NOW - timedelta(hours=1),
    )
    columns.append_blocking(REQUEST_LOSSES, loss, rows=1)

    found = ask(readiness.requests_arrive, session)
    assert isinstance(found, Finding)
    assert "1,200 requests" in found.problem
