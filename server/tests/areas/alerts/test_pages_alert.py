"""The page of an alert, and runbooks: filled in with live values, harmless whoever wrote them."""

from collections.abc import Callable
from typing import Any

import pytest
from mainstay_server.areas import alerts
from mainstay_server.areas.alerts.models import AlertType, Severity
from mainstay_server.areas.alerts.service import firing, runbooks
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.events import run_waiting
from tests.servers.http import Answer, HttpReceiver
from tests.world import World


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(alerts.area)


def base(world: World) -> str:
    return f"/dashboard/projects/{world.project}/alerts"


def opened(world: World, kind: AlertType = AlertType.INSTANCE_DOWN, **fields: Any) -> str:
    given = {"title": "inspections production is down", "message": "It answered 500."} | fields
    found = firing.Firing(type=kind, **given)
    with transaction() as session:
        alert_id, _ = firing.open_alert(
            session, world.instance, found, Severity.CRITICAL, now=utc_now()
        )
    return alert_id


def page(world: World, alert_id: str) -> str:
    answer = world.bob.get(f"{base(world)}/{alert_id}")
    assert answer.status_code == 200
    return str(answer.text)


def test_the_page_tells_what_to_do_with_the_alerts_own_values(world: World) -> None:
    text = page(world, opened(world, message="<b>It</b> answered *500*."))
    assert "<h2>Inspections production is down</h2>" in text
    assert "&lt;b&gt;It&lt;/b&gt; answered *500*." in text
    assert "as Mainstay ships it" in text
    assert "<b>It" not in text


def test_the_timeline_tells_who_was_told_and_who_took_it(
    world: World, http_receiver: HttpReceiver
) -> None:
    body = {"type": "webhook", "config": {"webhookUrl": http_receiver.url}, "name": "hook"}
    channels = f"/api/instances/{world.instance.id}/alert-channels"
    assert world.bob.post(channels, json=body).status_code == 201
    http_receiver.answer(Answer(status=400))
    alert_id = opened(world)
    run_waiting(now=utc_now())

    text = page(world, alert_id)
    assert "The opening could not be delivered: Webhook hook" in text
    assert "The receiver answered 400" in text
    taken = world.bob.post(f"{base(world)}/{alert_id}/acknowledge")
    assert taken.headers["location"] == f"{base(world)}/{alert_id}"
    assert "Bob took it in hand" in page(world, alert_id)
    world.bob.post(f"{base(world)}/{alert_id}/resolve", data={"back": "alert"})
    assert "Resolved by Bob." in page(world, alert_id)
    assert "Acknowledge" not in page(world, alert_id)


def test_a_project_writes_its_own_runbook_and_names_it_in_a_rule(world: World) -> None:
    api = f"/api/projects/{world.project}"
    body = "# {{ project }}: {{title}}\n\n1. Call `ops {{ environment }}`.\n\n{{ nothing }}"
    made = world.bob.post(f"{api}/runbooks", json={"name": "Down", "body": body})
    assert made.status_code == 201
    rule = f"/api/instances/{world.instance.id}/alert-rules/instance_down"
    assert "no runbook" in world.bob.patch(rule, json={"runbook": "Up"}).json()["detail"]
    assert world.bob.patch(rule, json={"runbook": "Down"}).json()["runbook"] == "Down"

    text = page(world, opened(world))
    assert "<h2>Inspections: inspections production is down</h2>" in text
    assert "<code>ops production</code>" in text
    assert "(not known)" in text

    one = f"{api}/runbooks/{made.json()['id']}"
    changed = world.bob.patch(one, json={"body": "Call *Ann*."}).json()
    assert (changed["name"], changed["body"]) == ("Down", "Call *Ann*.")
    assert world.bob.get(f"{api}/runbooks").json()["runbooks"] == [changed]
    assert world.bob.delete(one).status_code == 204
    assert "as Mainstay ships it" in page(world, opened(world))
    world.bob.patch(rule, json={"runbook": "https://wiki.example/down"})
    assert 'href="https://wiki.example/down"' in page(world, opened(world))


def test_an_alert_without_a_runbook_says_so(world: World) -> None:
    text = page(world, opened(world, AlertType.PROBE_SILENT))
    assert "Nobody has written down yet what to do" in text


@pytest.mark.parametrize("name", sorted(set(runbooks.SHIPPED.values())))
def test_every_shipped_runbook_has_a_heading_and_steps_and_knows_its_names(name: str) -> None:
    known = dict.fromkeys(("project", "environment", "url", "since", "message"), "VALUE")
    shown = runbooks.filled_in(runbooks.shipped_body(name), known)
    assert shown.startswith("<h2>")
    assert "VALUE VALUE" in shown.splitlines()[0]
    assert shown.count("<li>") >= 3
    assert "VALUE" in shown
    assert runbooks.UNKNOWN not in shown
    assert "{" not in shown


def test_every_measure_leads_to_a_shipped_runbook() -> None:
    assert set(runbooks.BY_MEASURE.values()) <= set(runbooks.SHIPPED.values())


@pytest.mark.parametrize(
    ("body", "never"),
    [
        ("<script>alert(1)</script>", "<script"),
        ("[x](javascript:alert(1))", 'javascript:alert(1)"'),
        ("![x](https://evil.example/p.png)", "<img"),
        ("{{ message }}", "<img"),
        ("[x]({{ message }})", "<img"),
        ("\ue000message\ue001", "<img"),
        ("{{ self.__init__ }} {% for x in y %}", "<for"),
    ],
)
def test_no_runbook_and_no_value_does_harm(body: str, never: str) -> None:
    shown = runbooks.filled_in(body, {"message": "<img src=x onerror=alert(1)>**b**"})
    assert never not in shown
    assert "<strong>" not in shown


def test_a_runbook_that_names_a_long_value_over_and_over_stays_readable() -> None:
    shown = runbooks.filled_in("{{ a }} " * 2500, {"a": "<" * 16_000})
    assert shown.count("&lt;") == 2500 * runbooks.LONGEST_VALUE


def test_the_form_shows_what_an_alert_would(world: World) -> None:
    assert "No runbook of your own yet" in world.bob.get(f"{base(world)}/runbooks").text
    assert "Open {{ url }} yourself" in world.bob.get(f"{base(world)}/runbooks/instance_down").text
    preview = world.bob.post(f"{base(world)}/runbook-preview", data={"body": "# {{ severity }}"})
    assert '<div class="prose"><h2>high</h2>' in preview.text
    form = {"name": "Slow", "body": "1. Look.", "instance": "production"}
    saved = world.bob.post(f"{base(world)}/runbooks", data=form)
    assert saved.headers["location"] == f"{base(world)}/runbooks?instance=production"
    again = world.bob.post(f"{base(world)}/runbooks", data=form)
    assert "runbooks/new" in again.headers["location"]
    (found,) = world.bob.get(f"/api/projects/{world.project}/runbooks").json()["runbooks"]
    changed = form | {"runbookId": found["id"], "name": "Slower"}
    world.bob.post(f"{base(world)}/runbooks", data=changed)
    assert "Slower" in world.bob.get(f"{base(world)}/runbooks/{found['id']}").text
    world.bob.post(f"{base(world)}/runbooks/{found['id']}/remove")
    assert world.bob.get(f"{base(world)}/runbooks/{found['id']}").status_code == 404


def test_charlie_sees_no_alert_and_no_runbook(world: World) -> None:
    alert_id = opened(world)
    made = world.bob.post(
        f"/api/projects/{world.project}/runbooks", json={"name": "Down", "body": "x"}
    ).json()
    theirs = f"/dashboard/projects/{world.charlies_instance.project_slug}/alerts"
    for path in (f"{base(world)}/{alert_id}", f"{theirs}/{alert_id}"):
        assert world.charlie.get(path).status_code == 404
        assert world.charlie.post(f"{path}/acknowledge").status_code == 404
    mine = f"/api/projects/{world.charlies_instance.project_slug}/runbooks"
    assert world.charlie.get(f"/api/projects/{world.project}/runbooks").status_code == 404
    assert world.charlie.patch(f"{mine}/{made['id']}", json={"body": "y"}).status_code == 404
    assert world.charlie.delete(f"{mine}/{made['id']}").status_code == 404
