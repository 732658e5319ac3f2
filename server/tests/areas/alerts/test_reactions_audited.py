"""Any audited action of a project can be an alert: by its name, who did it, and what it changed."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from mainstay_server.areas import alerts
from mainstay_server.areas.alerts.configured.event_rules import EVENT_RULES, EventRuleShape
from mainstay_server.areas.alerts.jobs import settle_app_alerts
from mainstay_server.areas.alerts.schemas.event_rules import EventRuleValue
from mainstay_server.areas.alerts.service import event_rules
from mainstay_server.contracts.alerts.rules import AlertRuleChanged
from mainstay_server.kernel.configured import ConfiguredProject
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import Origin, audited_actions, say, spoken_by
from mainstay_server.kernel.problems import Conflict
from mainstay_server.tenancy.subjects import ProjectRef, find_project
from tests.areas.alerts.conftest import Harbour
from tests.world import World

ANN = Origin(actor="ann", name="Ann", email="ann@inspections.example")
REMOVED: dict[str, Any] = {"name": "Rules are touched", "action": "alert_rule.*"}


def project_of(harbour: Harbour) -> ProjectRef:
    with reading() as session:
        found = find_project(session, harbour.instance.project_slug)
        assert found is not None
        return found


def write(harbour: Harbour, **fields: Any) -> str:
    project = project_of(harbour)
    with transaction() as session:
        value = EventRuleValue.model_validate(REMOVED | fields)
        return event_rules.write_rule(session, project, None, value, now=harbour.now).id


def somebody_changes(harbour: Harbour, target: str = "instance_down", **about: str) -> None:
    event = AlertRuleChanged(
        **{**harbour.instance.ids, **about},  # type: ignore[arg-type]
        type=target,
        changes={"enabled": (True, False), "severity": ("critical", "low")},
    )
    with transaction() as session, spoken_by(ANN):
        say(session, event, now=harbour.now)
    harbour.deliver()


def test_what_somebody_administers_is_an_alert_that_says_who_and_what(harbour: Harbour) -> None:
    write(harbour, severity="high", fields={"actor": "an*", "changes.enabled": "false"})
    somebody_changes(harbour)
    (alert,) = harbour.alerts()
    assert (alert.type, alert.severity) == ("event_said", "high")
    assert alert.title == "inspections production: Rules are touched"
    assert alert.message == (
        "Ann: alert_rule.changed of instance_down.\nenabled: True → False\nseverity: critical → low"
    )
    assert alert.labels["action"] == "alert_rule.changed"


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "alert_route.changed"},
        {"action": "*.removed"},
        {"fields": {"actor": "bob"}},
        {"fields": {"changes.enabled": "true"}},
        {"fields": {"no such field": "*"}},
        {"enabled": False},
    ],
)
def test_what_does_not_fit_is_none(harbour: Harbour, fields: dict[str, Any]) -> None:
    write(harbour, **fields)
    somebody_changes(harbour)
    assert harbour.alerts() == []


def test_other_projects_and_the_organization_are_not_heard(harbour: Harbour) -> None:
    write(harbour)
    somebody_changes(harbour, project_id="", instance_id="")
    somebody_changes(harbour, project_id="another", instance_id="another")
    assert harbour.alerts() == []
    somebody_changes(harbour, instance_id="")  # project-wide: told at its first instance
    assert len(harbour.alerts()) == 1


def test_beyond_ten_an_hour_one_alert_stands_for_the_rest_and_a_day_ends_them(
    harbour: Harbour,
) -> None:
    write(harbour)
    for number in range(15):
        somebody_changes(harbour, f"target {number}")
    assert len(harbour.alerts()) == 11
    assert harbour.alerts()[-1].count == 5
    somebody_changes(harbour, "target 3")
    harbour.later(timedelta(days=1, minutes=1))
    with transaction() as session:
        assert settle_app_alerts.function(session, now=harbour.now) == 11


def test_a_name_is_one_rules_own_and_fifty_are_enough(harbour: Harbour) -> None:
    write(harbour)
    with pytest.raises(Conflict, match="another name"):
        write(harbour)
    for number in range(49):
        write(harbour, name=str(number))
    with pytest.raises(Conflict, match="50 such rules"):
        write(harbour, name="one more")


def test_the_form_offers_the_actions_that_there_are() -> None:
    assert {"alert_rule.changed", "backup_target.removed", "api_key.created"} <= set(
        audited_actions()
    )


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(alerts.area)


def test_rules_are_written_changed_and_removed_and_charlie_sees_none(world: World) -> None:
    base = f"/api/projects/{world.project}/event-rules"
    made = world.bob.post(base, json=REMOVED | {"fields": {"actor": "ann*"}})
    assert made.status_code == 201
    one = f"{base}/{made.json()['id']}"
    changed = world.bob.patch(one, json={"severity": "critical"}).json()
    assert (changed["severity"], changed["fields"]) == ("critical", {"actor": "ann*"})
    assert world.bob.get(base).json() == {"rules": [changed], "nextCursor": None}
    page = f"/dashboard/projects/{world.project}/alerts"
    assert "Rules are touched" in world.bob.get(f"{page}/rules").text
    assert "actor: ann*" in world.bob.get(f"{page}/event-rules/{changed['id']}").text

    theirs = f"/api/projects/{world.charlies_instance.project_slug}/event-rules"
    assert world.charlie.get(base).status_code == 404
    assert world.charlie.patch(f"{theirs}/{changed['id']}", json={}).status_code == 404
    assert world.charlie.get(f"{page}/event-rules/new").status_code == 404
    for wrong in ({"action": "no spaces"}, {"fields": {str(n): "x" for n in range(6)}}):
        assert world.bob.post(base, json=REMOVED | {"name": "x"} | wrong).status_code == 400
    assert world.bob.delete(one).status_code == 204
    assert world.bob.delete(one).status_code == 404


def test_the_form_writes_a_rule(world: World) -> None:
    page = f"/dashboard/projects/{world.project}/alerts"
    form = {
        "name": "Keys",
        "action": "api_key.*",
        "conditions": "actor: ann*\n\nchanges.enabled: false",
        "severity": "high",
        "switch": "on",
        "instance": "production",
    }
    saved = world.bob.post(f"{page}/event-rules", data=form)
    assert saved.headers["location"] == f"{page}/rules?instance=production"
    (rule,) = world.bob.get(f"/api/projects/{world.project}/event-rules").json()["rules"]
    assert rule["fields"] == {"actor": "ann*", "changes.enabled": "false"}
    wrong = world.bob.post(f"{page}/event-rules", data=form | {"name": "x", "conditions": "ann"})
    assert "event-rules/new" in wrong.headers["location"]
    unheard = form | {"name": "x", "action": "no_such.thing"}
    assert (
        "event-rules/new" in world.bob.post(f"{page}/event-rules", data=unheard).headers["location"]
    )
    world.bob.post(f"{page}/event-rules/{rule['id']}/remove")
    assert world.bob.get(f"{page}/event-rules/{rule['id']}").status_code == 404


def test_documents_hold_rules_over_what_people_administer(harbour: Harbour) -> None:
    project = ConfiguredProject(
        id=harbour.instance.project_id,
        slug=harbour.instance.project_slug,
        organization_id=harbour.instance.organization_id,
        instances={"production": harbour.instance},
    )
    wanted = EventRuleShape.model_validate(REMOVED)
    with transaction() as session:
        made = EVENT_RULES.write(session, project, wanted, None, harbour.now)
        (held,) = EVENT_RULES.export(session, project)
        assert (held.id, held.shape) == (made, wanted)
        EVENT_RULES.remove(session, project, held, harbour.now)
        assert EVENT_RULES.export(session, project) == []
