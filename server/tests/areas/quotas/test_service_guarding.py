import asyncio
import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mainstay_server.areas.quotas.service import counting
from mainstay_server.areas.quotas.service.guarding import publish, step
from mainstay_server.contracts.guard import Use
from mainstay_server.kernel.guard import Facts, GuardedRequest, Passage
from mainstay_server.kernel.problems import TooManyRequests
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.world import a_project

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
WIRE = Path(__file__).parents[4] / "wire/guard"
POLICY = json.loads((WIRE / "policy.full.json").read_text())
TRACES = json.loads((WIRE / "quotas.json").read_text())["traces"]


def ask(compiled: Any, instance: InstanceRef, *, owner: str = "", cost: int = 1) -> None:
    request = GuardedRequest(
        instance=instance, method="GET", path="/", address="", credential="", at=NOON, cost=cost
    )
    asyncio.run(
        step.decide(compiled, Passage(request=request, facts=Facts(key_id="k", owner=owner)))
    )


def test_the_golden_section_refuses_the_fourth_call(session: Session) -> None:
    instance = a_project(session, now=NOON)
    compiled = step.compile(POLICY["quotas"])
    for _ in range(3):
        ask(compiled, instance, owner="acme")
    with pytest.raises(TooManyRequests) as refused:
        ask(compiled, instance, owner="acme")
    assert refused.value.code == "quota-exceeded"
    assert refused.value.retry_after_seconds == pytest.approx(
        (datetime(2030, 1, 1, tzinfo=UTC) - NOON).total_seconds()
    )
    ask(compiled, instance, owner="other")


@pytest.mark.parametrize("trace", TRACES, ids=[trace["promise"] for trace in TRACES])
def test_every_golden_trace_of_a_quota(session: Session, trace: dict[str, Any]) -> None:
    instance = a_project(session, now=NOON)
    (meter,) = POLICY["quotas"]["meters"]
    begins = {**meter, "remaining": trace["remaining"], "mode": trace["mode"]}
    compiled = step.compile({"meters": [begins]})
    for each in trace["steps"]:
        refused = contextlib.nullcontext() if each["admitted"] else pytest.raises(TooManyRequests)
        with refused:
            ask(compiled, instance, owner="acme", cost=each["cost"])
        assert compiled["owner:acme"].remaining == each["remaining"]


def test_a_cost_that_does_not_fit_takes_nothing(session: Session) -> None:
    instance = a_project(session, now=NOON)
    compiled = step.compile(POLICY["quotas"])
    with pytest.raises(TooManyRequests):
        ask(compiled, instance, owner="acme", cost=4)
    ask(compiled, instance, owner="acme", cost=3)


def test_nothing_is_published_without_limits(session: Session) -> None:
    assert publish(session, a_project(session, now=NOON), NOON) is None


@pytest.mark.usefixtures("free_by_default")
def test_what_is_left_is_published(session: Session) -> None:
    instance = a_project(session, now=NOON)
    counting.record_use(
        session,
        instance=instance,
        batch_id="batch-1",
        uses=[Use(subject="organization", meter="calls", amount=60)],
        now=NOON,
    )
    assert publish(session, instance, NOON) == {
        "meters": [
            {
                "meter": "calls",
                "subject": "organization",
                "remaining": 40,
                "mode": "hard",
                "resetsAt": "2026-12-01T00:00:00.000Z",
            }
        ]
    }
