from datetime import timedelta
from typing import Any

import pytest
from mainstay_server.areas.health_checks import area as health_checks
from mainstay_server.areas.maintenance import area as maintenance
from mainstay_server.areas.objectives import area
from mainstay_server.areas.objectives.service import judging, reporting, setting
from mainstay_server.contracts.objectives import (
    ErrorBudgetBurning,
    ErrorBudgetCalm,
    ObjectiveChanged,
    ObjectiveCreated,
    ObjectiveRemoved,
    ObjectiveStatusChanged,
)
from mainstay_server.kernel.area import install
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.kernel.watching import State
from mainstay_server.tenancy.subjects import find_project
from sqlalchemy.orm import Session
from tests.conftest import Said
from tests.databases import on_both_stores
from tests.world import a_project

from .worlds import DAY, HOUR, MINUTE, NOON, a_check, an_objective

UP, SLOW, DOWN, UNKNOWN = State.HEALTHY, State.DEGRADED, State.UNHEALTHY, State.UNKNOWN


@pytest.fixture(autouse=True)
def areas() -> None:
    install((area, health_checks, maintenance))


@on_both_stores
def test_an_outage_is_replayed_and_people_hear_of_it_once(session: Session, said: Said) -> None:
    instance = a_project(session, now=NOON - 40 * DAY)
    check = a_check(
        session, instance, [(UP, NOON - 40 * DAY), (DOWN, NOON), (UP, NOON + 20 * MINUTE)]
    )
    objective = an_objective(session, instance, now=NOON - DAY, subject_id=check.id)
    assert [type(event) for event in said()] == [ObjectiveCreated]

    heard = []
    for minute in range(8 * 60):
        now = NOON + minute * MINUTE
        judging.judge_one(session, objective.id, now=now)
        heard += [(type(event), now - NOON, getattr(event, "severity", "")) for event in said()]
    assert heard == [
        (ErrorBudgetBurning, MINUTE, "page"),
        (ErrorBudgetBurning, 5 * MINUTE, "ticket"),
        (ErrorBudgetCalm, 6 * HOUR + 18 * MINUTE, "page"),
    ]
    # 20 of the 43.2 minutes that three nines leave in 30 days.
    assert objective.budget_left == pytest.approx(100 * (1 - 20 / 43.2))
    assert objective.status == "ok"


def test_a_budget_that_is_spent_is_said_to_be_and_freezes_what_ships(
    session: Session, said: Said
) -> None:
    instance = a_project(session, now=NOON - 40 * DAY)
    check = a_check(session, instance, [(UP, NOON - 40 * DAY), (DOWN, NOON)])
    objective = an_objective(session, instance, now=NOON, subject_id=check.id)

    def gate() -> str:
        standing = judging.stand(session, objective, now=NOON)
        return reporting.gate_of(objective, standing)[0]

    assert gate() == "ok"
    said()
    judging.judge_one(session, objective.id, now=NOON + 36 * MINUTE)
    assert [e.after for e in said() if isinstance(e, ObjectiveStatusChanged)] == ["at_risk"]
    assert gate() == "frozen"  # since somebody is paged
    judging.judge_one(session, objective.id, now=NOON + 60 * MINUTE)
    assert [e.after for e in said() if isinstance(e, ObjectiveStatusChanged)] == ["exhausted"]
    standing = judging.stand(session, objective, now=NOON + 60 * MINUTE)
    assert reporting.gate_of(objective, standing)[0] == "frozen"
    assert standing.budget_left == pytest.approx(100 * (1 - 60 / 43.2))
    assert standing.exhausted_at == NOON + 60 * MINUTE


def test_what_nobody_watched_and_maintenance_do_not_count(session: Session) -> None:
    instance = a_project(session, now=NOON - 40 * DAY)
    check = a_check(
        session,
        instance,
        [(UP, NOON - 2 * DAY), (UNKNOWN, NOON - 4 * HOUR), (UP, NOON - 2 * HOUR)],
    )
    objective = an_objective(session, instance, subject_id=check.id)
    standing = judging.stand(session, objective, now=NOON)
    assert standing.amount.total == 46 * 3600
    assert standing.budget_left == 100
    assert [burn.has_history for burn in standing.burns] == [True, True, True, False]


def test_slow_is_up_and_not_in_time(session: Session) -> None:
    instance = a_project(session, now=NOON - 40 * DAY)
    check = a_check(
        session, instance, [(UP, NOON - 10 * HOUR), (SLOW, NOON - 2 * HOUR), (UP, NOON - HOUR)]
    )
    up = an_objective(session, instance, subject_id=check.id)
    fast = an_objective(session, instance, subject_id=check.id, kind="latency", target_percent=95.0)
    assert judging.stand(session, up, now=NOON).achieved_percent == 100
    assert judging.stand(session, fast, now=NOON).achieved_percent == pytest.approx(90)


@pytest.mark.parametrize(
    "wanted",
    [
        {"subject_id": "nothing"},
        {"source": "requests", "environment": "moon"},
        {"source": "requests", "subject_id": "x"},
        {"source": "requests", "threshold_ms": 300},
        {"source": "requests", "kind": "latency"},
    ],
)
def test_what_cannot_be_counted_is_refused(session: Session, wanted: dict[str, Any]) -> None:
    instance = a_project(session, now=NOON)
    with pytest.raises(Invalid):
        an_objective(session, instance, **wanted)


def test_what_another_project_watches_is_not_counted(session: Session) -> None:
    ours = a_project(session, now=NOON)
    theirs = a_project(session, now=NOON, organization="Rivals", slug="spying", number=2)
    check = a_check(session, theirs, [(UP, NOON)])
    with pytest.raises(Invalid):
        an_objective(session, ours, subject_id=check.id)


def test_it_is_changed_judged_anew_and_removed_with_its_alerts(
    session: Session, said: Said
) -> None:
    instance = a_project(session, now=NOON - 40 * DAY)
    project = find_project(session, instance.project_slug)
    assert project is not None
    check = a_check(session, instance, [(UP, NOON - 40 * DAY), (DOWN, NOON - HOUR)])
    objective = an_objective(session, instance, subject_id=check.id)
    said()
    setting.change_objective(session, project, objective.id, {"target_percent": 99.0}, now=NOON)
    (changed,) = (e for e in said() if isinstance(e, ObjectiveChanged))
    assert changed.changes == {"target_percent": (99.9, 99.0)}
    assert objective.budget_left == pytest.approx(100 * (1 - 60 / 432))
    setting.remove_objective(session, project, objective.id, now=NOON)
    assert [type(event) for event in said()] == [
        ErrorBudgetCalm,
        ErrorBudgetCalm,
        ObjectiveRemoved,
    ]
    with pytest.raises(NotFound):
        setting.get_objective(session, project, objective.id)


def test_a_project_has_so_many_and_no_more(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setting, "MOST_PER_PROJECT", 2)
    instance = a_project(session, now=NOON)
    check = a_check(session, instance, [(UP, NOON)])
    for name in ("a", "b"):
        an_objective(session, instance, name=name, subject_id=check.id)
    with pytest.raises(Conflict):
        an_objective(session, instance, subject_id=check.id)


def test_a_report_tells_a_month_as_it_was(session: Session) -> None:
    instance = a_project(session, now=NOON - 90 * DAY)
    project = find_project(session, instance.project_slug)
    assert project is not None
    begin = NOON.replace(month=10, day=1, hour=0)
    down = begin + 3 * DAY
    check = a_check(
        session,
        instance,
        [(UP, begin - 30 * DAY), (DOWN, down), (UP, down + timedelta(minutes=44))],
    )
    an_objective(session, instance, subject_id=check.id)
    report = reporting.report_of(session, project, begin.date(), now=NOON)
    (line,), (kept,) = report.watched, report.objectives
    assert report.is_over
    assert line.seconds(State.UNHEALTHY) == 44 * 60
    assert line.uptime.percent == pytest.approx(100 * (1 - 44 / (31 * 1440)))
    assert kept.achieved_percent == line.uptime.percent
    assert kept.is_met is True  # 44.64 minutes are allowed in 31 days
    assert kept.left_percent == pytest.approx(100 * (1 - 44 / 44.64))
