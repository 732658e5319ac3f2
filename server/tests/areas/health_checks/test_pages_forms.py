"""The form of a health check: every kind can be made, changed and tried out in it."""

import html
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
import sqlalchemy as sa
from mainstay_server.areas.health_checks import area
from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.pages.fields import config_in, fields_of
from mainstay_server.areas.health_checks.providers import PROVIDERS
from mainstay_server.areas.health_checks.service import configs
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.problems import Invalid
from tests.servers.http import Answer, HttpReceiver, running_http
from tests.world import World
from typing_extensions import override

SECRET = "s3cr3t-of-the-shop"


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(area)


@pytest.fixture
def app() -> Iterator[HttpReceiver]:
    with running_http() as receiver:
        yield receiver


def base_of(world: World) -> str:
    return f"/dashboard/projects/{world.project}/health-checks"


class Form(HTMLParser):
    """What a browser would send of a page's form, as it stands."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sent: dict[str, str] = {}
        self._inside, self._chosen = "", False
        self.feed(page)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name, value = given.get("name") or "", given.get("value") or ""
        if tag == "option" and self._inside and ("selected" in given or not self._chosen):
            self.sent[self._inside], self._chosen = value, True
        elif tag in ("select", "textarea") and name:
            self._inside, self._chosen, self.sent[name] = name, False, ""
        elif tag == "input" and name and (given.get("type") != "checkbox" or "checked" in given):
            self.sent[name] = "on" if given.get("type") == "checkbox" else value

    @override
    def handle_data(self, data: str) -> None:
        if self.get_starttag_text() and self._in_textarea():
            self.sent[self._inside] += data

    def _in_textarea(self) -> bool:
        return bool(self._inside) and (self.get_starttag_text() or "").startswith("<textarea")

    @override
    def handle_endtag(self, tag: str) -> None:
        if tag in ("select", "textarea"):
            self._inside = ""


def filled_in(page: str) -> dict[str, str]:
    return Form(page).sent


def only_check() -> HealthCheck:
    with reading() as session:
        return session.scalars(sa.select(HealthCheck)).one()


@pytest.mark.parametrize("kind", sorted(PROVIDERS))
def test_the_form_of_every_kind_makes_the_check_that_its_example_makes(
    world: World, kind: str
) -> None:
    provider = PROVIDERS[kind]
    config = dict(provider.EXAMPLE)
    if kind == "http":
        config["url"] = "https://shop.example/"
    example = provider.Config.model_validate(config)
    shown, secrets = configs.shown(example), configs.secrets_of(example)
    page = world.bob.get(f"{base_of(world)}/new?kind={kind}").text
    sent = filled_in(page) | {
        field.name: field.value
        for field in fields_of(provider.Config, shown, without=("url",) if kind == "http" else ())
    }
    for path in secrets:
        name, _, key = path.partition(".")
        field = next(n for n, f in provider.Config.model_fields.items() if (f.alias or n) == name)
        sent[f"config.{field}"] = f"{key}: {SECRET}" if key else SECRET
    sent |= {"name": f"a {kind}", "kind": kind, "url": "https://shop.example/"}
    sent = {name: value for name, value in sent.items() if value != ""}

    answer = world.bob.post(f"{base_of(world)}/new", data=sent)

    assert answer.status_code == 303, answer.text
    check = only_check()
    assert (check.kind, check.name) == (kind, f"a {kind}")
    made = configs.config_of(check)
    expected = configs.shown(example)
    found = configs.shown(made)
    if kind == "http":  # its URL is not in the config of the form
        for several in (expected, found):
            several.pop("url", None)
    assert found == expected
    assert configs.secrets_of(made) == secrets
    again = world.bob.get(f"{base_of(world)}/{check.id}/change").text
    assert SECRET not in again


def test_what_is_wrong_is_said_beside_its_input_and_nothing_is_made(world: World) -> None:
    sent = {"kind": "http", "name": "shop", "url": "ftp://shop.example", "interval_seconds": "1"}

    answer = world.bob.post(f"{base_of(world)}/new", data=sent)

    assert answer.status_code == 400
    assert "must begin with http:// or https://" in answer.text
    assert 'value="ftp://shop.example"' in answer.text
    assert "greater than or equal to 5" in answer.text
    with reading() as session:
        assert session.scalars(sa.select(HealthCheck)).all() == []


def test_a_change_keeps_the_secrets_that_are_left_empty(world: World, app: HttpReceiver) -> None:
    sent = {
        "kind": "http",
        "name": "shop",
        "url": f"{app.url}/health",
        "config.headers": "X-Api-Key: {{key}}",
        "config.secrets": f"key: {SECRET}",
        "tags": "eu, critical",
        "conditions": "[STATUS] == 200\n\n[RESPONSE_TIME] < 60s",
    }
    made = world.bob.post(f"{base_of(world)}/new", data=sent)
    here = made.headers["location"]
    form = filled_in(world.bob.get(f"{here}/change").text)

    changed = world.bob.post(f"{here}/change", data=form | {"name": "the shop", "tags": "eu"})
    world.bob.post(f"{here}/run")

    assert changed.status_code == 303, changed.text
    check = only_check()
    assert (check.name, check.tags) == ("the shop", ["eu"])
    assert check.conditions == ["[STATUS] == 200", "[RESPONSE_TIME] < 60s"]
    assert app.requests[-1].headers["x-api-key"] == SECRET


def test_a_try_shows_what_comes_back_and_keeps_nothing(world: World, app: HttpReceiver) -> None:
    app.answer(Answer(status=503))
    sent = {
        "kind": "http",
        "name": "shop",
        "url": f"{app.url}/health",
        "config.bearer_token": SECRET,
        "conditions": "[STATUS] == 200",
    }

    tried = world.bob.post(f"{base_of(world)}/try", data=sent).text

    assert "Unhealthy" in tried
    assert "[STATUS] (503) == 200" in html.unescape(tried)
    assert SECRET not in tried
    assert len(app.requests) == 1
    with reading() as session:
        assert session.scalars(sa.select(HealthCheck)).all() == []


def test_a_try_of_a_change_uses_the_secret_that_is_kept(world: World, app: HttpReceiver) -> None:
    sent = {
        "kind": "http",
        "name": "shop",
        "url": f"{app.url}/health",
        "config.bearer_token": SECRET,
    }
    here = world.bob.post(f"{base_of(world)}/new", data=sent).headers["location"]
    form = filled_in(world.bob.get(f"{here}/change").text)

    tried = world.bob.post(f"{base_of(world)}/try", data=form).text
    elsewhere = form | {"url": "https://other.example/"}
    refused = world.bob.post(f"{base_of(world)}/try", data=elsewhere).text

    assert "Healthy" in tried
    assert app.requests[-1].headers["authorization"] == f"Bearer {SECRET}"
    assert "bearerToken again" in refused, "a kept secret goes only where it was meant for"


def test_what_cannot_be_tried_says_why(world: World) -> None:
    tried = world.bob.post(f"{base_of(world)}/try", data={"kind": "nonsense"})

    assert tried.status_code == 200
    assert "Choose a kind" in tried.text


def test_the_forms_are_for_members_of_the_project_alone(world: World) -> None:
    sent = {"kind": "http", "name": "shop", "url": "https://shop.example/"}
    here = world.bob.post(f"{base_of(world)}/new", data=sent).headers["location"]

    for path in (f"{base_of(world)}/new", f"{here}/change"):
        assert world.charlie.get(path).status_code == 404
        assert world.charlie.post(path, data=sent).status_code == 404
    assert world.charlie.post(f"{base_of(world)}/try", data=sent).status_code == 404


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ({"config.steps": "[{"}, "no JSON"),
        ({"config.variables": "shop"}, "no colon"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(sent: dict[str, Any], why: str) -> None:
    with pytest.raises(Invalid, match=why) as refused:
        config_in(PROVIDERS["steps"].Config, sent)

    assert refused.value.errors[0]["field"] in sent


def add_probe(world: World, location: str) -> None:
    answer = world.alice.post("/api/probes", json={"name": "box", "location": location})
    assert answer.status_code == 201, answer.text


def test_places_are_chosen_where_there_are_probes_and_nowhere_else(world: World) -> None:
    new = f"{base_of(world)}/new"
    assert "Where it is asked from" not in world.bob.get(new).text
    add_probe(world, "St. Gallen")
    page = world.bob.get(new).text
    assert filled_in(page)["place.here"] == "on"
    assert "place.St. Gallen" not in filled_in(page)
    assert "Where it is asked from" not in world.bob.get(f"{new}?kind=browser").text

    sent = filled_in(page) | {"name": "shop", "url": "https://shop.example/", "quorum": "all"}
    assert world.bob.post(new, data=sent | {"place.St. Gallen": "on"}).status_code == 303
    check = only_check()
    assert (check.locations, check.quorum) == (["here", "St. Gallen"], "all")

    change = f"{base_of(world)}/{check.id}/change"
    sent = filled_in(world.bob.get(change).text)
    assert (sent["place.St. Gallen"], sent["quorum"]) == ("on", "all")
    del sent["place.here"]
    assert world.bob.post(change, data=sent | {"quorum": "any"}).status_code == 303
    assert (only_check().locations, only_check().quorum) == (["St. Gallen"], "any")


def test_no_place_and_one_that_is_not_are_refused_beside_the_boxes(world: World) -> None:
    add_probe(world, "Oslo")
    new = f"{base_of(world)}/new"
    sent = filled_in(world.bob.get(new).text) | {"name": "shop", "url": "https://shop.example/"}
    del sent["place.here"]

    nowhere = world.bob.post(new, data=sent)
    elsewhere = world.bob.post(new, data=sent | {"place.Atlantis": "on"})

    assert (nowhere.status_code, elsewhere.status_code) == (400, 400)
    assert 'id="places-error"' in nowhere.text
    assert "There is no probe at" in html.unescape(elsewhere.text)


def test_another_kind_keeps_the_places_that_were_ticked(world: World) -> None:
    add_probe(world, "Oslo")

    asked = {"kind": "tcp", "quorum": "any", "place.Oslo": "on"}
    sent = filled_in(world.bob.get(f"{base_of(world)}/new", params=asked).text)

    assert (sent["quorum"], sent["place.Oslo"]) == ("any", "on")
    assert "place.here" not in sent
