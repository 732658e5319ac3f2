"""An error budget that burns is one alert to be woken for and one to read, until it is calm."""

from typing import Any, Literal

import pytest
from mainstay_server.areas.alerts.models import Alert, Severity
from mainstay_server.contracts.objectives import (
    ErrorBudgetBurning,
    ErrorBudgetCalm,
    is_burning,
)
from mainstay_server.kernel.database import reading
from tests.areas.alerts.conftest import Harbour


def fields(harbour: Harbour, severity: Literal["page", "ticket"]) -> dict[str, Any]:
    return {
        **harbour.instance.ids,
        "objective_id": "o1",
        "name": "Shop is up",
        "target_percent": 99.9,
        "budget_left": 61.5,
        "severity": severity,
    }


def burning(harbour: Harbour, severity: Literal["page", "ticket"]) -> ErrorBudgetBurning:
    more: dict[str, Any] = {"long_hours": 1.0, "burn": 20.0, "factor": 14.4, "exhausted_at": None}
    return ErrorBudgetBurning(**fields(harbour, severity), **more)


def test_each_severity_opens_and_ends_its_own(harbour: Harbour) -> None:
    harbour.happens(burning(harbour, "page"), burning(harbour, "ticket"))
    assert harbour.active() == ["error_budget_burning:o1:page", "error_budget_burning:o1:ticket"]
    with reading() as session:
        found = {alert.severity: alert.message for alert in session.query(Alert)}
    assert set(found) == {Severity.CRITICAL, Severity.WARNING}
    assert found[Severity.CRITICAL].startswith("20.0 times as fast as 99.9 % allows, over 1 h")

    harbour.happens(ErrorBudgetCalm(**fields(harbour, "page")))
    assert harbour.active() == ["error_budget_burning:o1:ticket"]


def test_what_is_heard_after_its_end_opens_nothing(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(is_burning, "answer", lambda session, objective_id, severity: False)
    harbour.happens(burning(harbour, "page"))
    assert harbour.active() == []
