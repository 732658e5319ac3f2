"""The API: who may plan and apply, what it answers, and the schema by which editors check."""

from typing import Any

import httpx2 as httpx
import yaml
from jsonschema import Draft202012Validator
from tests.world import Browser, World

DOCUMENT = """\
version: 1
instances:
  - environment: production
    url: https://ships.example
    intervalSeconds: ${EVERY:-60}
"""


def send(
    world: World, who: Browser, verb: str, document: str = DOCUMENT, **options: Any
) -> httpx.Response:
    path = f"/api/projects/{world.project}/configuration/{verb}"
    return who.post(path, json={"document": document, **options})


def test_a_document_is_planned_applied_and_exported(world: World) -> None:
    planned = send(world, world.bob, "plan", variables={"EVERY": "30"}).json()
    assert (planned["applied"], planned["changed"], planned["created"]) == (False, 1, 0)
    assert planned["changes"] == [
        {
            "kind": "instances",
            "name": "production",
            "action": "change",
            "line": 3,
            "fields": [
                {"field": "url", "before": "", "after": "https://ships.example"},
                {"field": "intervalSeconds", "before": 300, "after": 30},
            ],
        }
    ]
    done = send(
        world,
        world.bob,
        "apply",
        variables={"EVERY": "30"},
        fingerprint=planned["fingerprint"],
    ).json()
    assert (done["applied"], done["changed"], done["unchanged"]) == (True, 1, 0)
    again = send(world, world.bob, "apply", variables={"EVERY": "30"}).json()
    assert (again["changed"], again["unchanged"], again["changes"]) == (0, 1, [])

    exported = world.bob.get(f"/api/projects/{world.project}/configuration")
    assert exported.headers["content-type"].startswith("application/yaml")
    assert yaml.safe_load(exported.text)["instances"] == [
        {"environment": "production", "url": "https://ships.example", "intervalSeconds": 30}
    ]
    listed = world.bob.get(f"/api/projects/{world.project}/configuration/applied?limit=1").json()
    assert listed["applied"][0]["actorName"] == "Bob"
    assert listed["applied"][0]["unchanged"] == 1
    assert listed["nextCursor"]


def test_what_is_refused_comes_with_paths_and_lines(world: World) -> None:
    wrong = DOCUMENT + "    colour: red\nmonitors: []\n"
    refused = send(world, world.bob, "plan", wrong)
    assert refused.status_code == 400
    assert refused.json()["code"] == "refused-document"
    assert [(one["field"], one["line"]) for one in refused.json()["errors"]] == [
        ("instances[0].colour", 6),
        ("monitors", 7),
    ]
    assert send(world, world.bob, "plan", "version: 1\na: ${NOT_SET}").json()["code"] == (
        "variables-unset"
    )
    path = f"/api/projects/{world.project}/configuration/plan"
    assert world.bob.post(path, content=b"version: 1").status_code == 400
    assert world.bob.post(path, json={"document": "version: 1", "x": 1}).status_code == 400
    assert world.bob.post(path, content=b"x" * (13 << 20)).status_code == 413


def test_others_and_strangers_see_and_change_nothing(world: World) -> None:
    for verb in ("plan", "apply"):
        assert send(world, world.charlie, verb).status_code == 404
        assert send(world, world.stranger, verb).status_code == 401
    base = f"/api/projects/{world.project}/configuration"
    for path in (base, f"{base}/applied"):
        assert world.charlie.get(path).status_code == 404
        assert world.stranger.get(path).status_code == 401


def test_members_prune_no_instance_and_owners_do(world: World) -> None:
    more = DOCUMENT + "  - environment: staging\n"
    assert send(world, world.bob, "apply", more).status_code == 200
    refused = send(world, world.bob, "plan", prune=True)
    assert refused.status_code == 403
    assert "staging" in refused.json()["detail"]
    assert send(world, world.alice, "apply", prune=True).json()["removed"] == 1


def test_the_schema_takes_what_is_exported_and_refuses_what_the_server_does(world: World) -> None:
    answer = world.stranger.get("/api/configuration.schema.json")
    schema = answer.json()
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == "http://mainstay.test/api/configuration.schema.json"
    send(world, world.bob, "apply")
    exported = world.bob.get(f"/api/projects/{world.project}/configuration").text
    check = Draft202012Validator(schema)
    assert list(check.iter_errors(yaml.safe_load(exported))) == []
    for wrong in ({}, {"version": 1, "monitors": []}, {"version": 1, "instances": [{"url": ""}]}):
        assert list(check.iter_errors(wrong))
