import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from mainstay_server.areas.health_checks import area as health_checks
from mainstay_server.areas.maintenance import area as maintenance
from mainstay_server.areas.objectives import area
from mainstay_server.areas.requests import area as requests
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.watching import State
from tests.world import World

from .worlds import DAY, HOUR, MINUTE, a_check

FORM = {
    "name": "Shop is up",
    "kind": "availability",
    "target_percent": "99,9",
    "period": "28d",
    "environment": "production",
    "threshold_ms": "",
    "route": "",
}


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(area, health_checks, maintenance, requests)


@pytest.fixture
def check(world: World) -> str:
    """Up for ten days, but for 20 minutes an hour ago."""
    now = utc_now()
    states = [
        (State.HEALTHY, now - 10 * DAY),
        (State.UNHEALTHY, now - HOUR),
        (State.HEALTHY, now - 40 * MINUTE),
    ]
    with transaction() as session:
        return a_check(session, world.instance, states, until=now + DAY).id


def base(world: World) -> str:
    return f"/dashboard/projects/{world.project}/objectives"


def objectives(world: World) -> list[dict[str, Any]]:
    found = world.alice.get(f"/api/projects/{world.project}/objectives").json()["objectives"]
    assert isinstance(found, list)
    return found


def test_an_empty_page_shows_the_usual_targets_and_the_lines_that_begin(world: World) -> None:
    page = world.bob.get(base(world)).text
    assert "Nothing is promised yet" in page
    assert f"/api/projects/{world.project}/objectives" in page
    assert "Requests within 300 ms" in page


def test_an_objective_is_set_by_the_form_shown_changed_and_removed(
    world: World, check: str
) -> None:
    answer = world.bob.post(f"{base(world)}/new", data=FORM | {"counted": check})
    assert answer.status_code == 303
    (made,) = objectives(world)
    assert (made["targetPercent"], made["period"], made["subjectId"]) == (99.9, "28d", check)
    path = f"{base(world)}/{made['id']}"
    page = world.bob.get(path).text
    assert "Error budget left" in page
    assert "13.44" in page
    assert "grep -q" in page
    listed = world.bob.get(base(world)).text
    assert "Spent" in listed

    change = {"name": "Shop", "target_percent": "95", "period": "month"}
    assert world.bob.post(f"{path}/change", data=change).status_code == 303
    (changed,) = objectives(world)
    assert (changed["name"], changed["targetPercent"], changed["period"]) == ("Shop", 95, "month")
    assert world.bob.post(f"{path}/remove").status_code == 303
    assert objectives(world) == []


def test_a_usual_target_becomes_an_objective_with_a_click(world: World) -> None:
    preset = {
        "name": "Requests within 300 ms",
        "counted": "requests",
        "kind": "latency",
        "environment": "production",
        "threshold_ms": "300",
        "target_percent": "95.0",
    }
    world.bob.post(f"{base(world)}/new", data=preset)
    (made,) = objectives(world)
    assert (made["kind"], made["thresholdMs"], made["targetPercent"]) == ("latency", 300, 95)


@pytest.mark.parametrize(
    "wrong",
    [{"target_percent": "100"}, {"name": ""}, {"kind": "x"}, {"period": "x"}, {"counted": "x"}],
)
def test_what_makes_no_sense_is_refused_in_words(world: World, wrong: dict[str, str]) -> None:
    form = FORM | {"counted": "requests"} | wrong
    assert world.bob.post(f"{base(world)}/new", data=form).status_code == 303
    assert objectives(world) == []


def test_the_report_says_the_same_on_the_page_in_the_file_and_by_the_api(
    world: World, check: str
) -> None:
    world.bob.post(f"{base(world)}/new", data=FORM | {"counted": check, "name": "=1+1"})
    told = world.bob.get(f"/api/projects/{world.project}/sla-report").json()
    file = world.bob.get(f"{base(world)}/report.csv")
    assert file.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(file.text)))
    assert [row["kind"] for row in rows] == ["health_check", "objective"]
    (watched,), (kept,) = told["watched"], told["objectives"]
    # A moment passes between the two; both are rounded to ten thousandths of a percent.
    assert float(rows[0]["achieved percent"]) == pytest.approx(watched["uptimePercent"], abs=0.01)
    assert float(rows[0]["down seconds"]) == pytest.approx(watched["downSeconds"], abs=1)
    assert float(rows[1]["achieved percent"]) == pytest.approx(kept["achievedPercent"], abs=0.01)
    assert rows[1]["name"] == "'=1+1"
    page = world.bob.get(f"{base(world)}/report").text
    assert f"{utc_now():%B %Y}" in page


def test_a_report_is_of_a_month_and_an_instance_that_there_are(world: World) -> None:
    assert world.bob.get(f"{base(world)}/report?month=2020-02").status_code == 200
    assert world.bob.get(f"{base(world)}/report?month=2999-02").status_code == 400
    assert world.bob.get(f"{base(world)}/report.csv?month=x").status_code == 400
    assert world.bob.get(f"{base(world)}/report?environment=moon").status_code == 400
    assert world.bob.get(f"{base(world)}/report?environment=production").status_code == 200


def test_charlie_sees_nothing_and_a_name_is_shown_as_text(world: World) -> None:
    world.bob.post(f"{base(world)}/new", data=FORM | {"counted": "requests", "name": "<i>x</i>"})
    assert "<i>x" not in world.bob.get(base(world)).text
    for path in ("", "/report", "/report.csv"):
        assert world.charlie.get(f"{base(world)}{path}").status_code == 404
