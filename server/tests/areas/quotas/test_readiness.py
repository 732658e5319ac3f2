from datetime import UTC, datetime

import pytest
from mainstay_server.areas.quotas import readiness
from mainstay_server.areas.quotas.service import counting
from mainstay_server.kernel.readiness import Finding, NotApplicable, Passed
from sqlalchemy.orm import Session
from tests.world import a_project

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_without_limits_there_is_nothing_to_ask(session: Session) -> None:
    instance = a_project(session, now=NOON)
    assert isinstance(readiness.enough_is_left.ask(session, instance, NOON), NotApplicable)


@pytest.mark.usefixtures("free_by_default")
def test_a_plan_that_is_nearly_used_up_is_found(session: Session) -> None:
    instance = a_project(session, now=NOON)
    assert isinstance(readiness.enough_is_left.ask(session, instance, NOON), Passed)
    counting.use_quota(session, instance.organization_id, meter="calls", amount=80, now=NOON)
    found = readiness.enough_is_left.ask(session, instance, NOON)
    assert isinstance(found, Finding)
    assert found.fix == "Move to the plan PRO."
