"""The API as REQUIREMENTS P9 names it, who may read what, and what is taken away."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from mainstay_cli.audit_verifier.bundles import read_bundle
from mainstay_cli.audit_verifier.verifying import verify
from mainstay_server.areas import audit
from mainstay_server.areas.audit.service import checkpoints
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.events import run_waiting
from tests.world import Browser, World


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(audit.area)


def act(world: World) -> None:
    """Alice renames the project, Bob says where production runs and makes another project."""
    world.alice.patch("/api/projects/inspections", json={"name": "Sea Trials"})
    run = {"url": "https://app.example"}
    world.bob.patch(f"/api/instances/{world.instance.id}", json=run)
    world.bob.post("/api/projects", json={"name": "Harbour"})
    settle()


def settle() -> None:
    run_waiting(now=utc_now())


def sign() -> None:
    with transaction() as session:
        checkpoints.sign_all(session, now=utc_now())


def of_instance(world: World, query: str = "") -> str:
    return f"/api/instances/{world.instance.id}/audit-logs{query}"


def rows(who: Browser, path: str) -> list[dict[str, Any]]:
    answer = who.get(path)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["auditLogs"]
    return found


def actions(who: Browser, path: str) -> list[str]:
    return [row["action"] for row in rows(who, path)]


def test_an_instance_shows_what_was_done_to_it_and_its_project_the_newest_first(
    world: World,
) -> None:
    act(world)

    answer = world.bob.get(of_instance(world)).json()

    assert {key: answer[key] for key in ("total", "limit", "offset")} == {
        "total": 2,
        "limit": 100,
        "offset": 0,
    }
    newest, oldest = answer["auditLogs"]
    assert (newest["action"], oldest["action"]) == ("instance.changed", "project.changed")
    assert newest["actor"]["name"] == "Bob"
    assert newest["changes"] == {"url": ["", "https://app.example"]}
    assert newest["instance"]["environment"] == "production"
    assert newest["prevHash"] == oldest["hash"]


def test_pages_are_told_by_limit_and_offset(world: World) -> None:
    act(world)

    assert actions(world.bob, of_instance(world, "?limit=1&offset=1")) == ["project.changed"]
    assert world.bob.get(of_instance(world, "?limit=501")).status_code == 400
    assert world.bob.get(of_instance(world, "?offset=-1")).status_code == 400


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("action=project", 1),
        ("action=project.changed", 1),
        ("action=proj", 0),
        ("actor=bob", 1),
        ("actor=ALICE@ships", 1),
        ("search=app.example", 1),
        ("search=%25", 0),
        ("from=2020-01-01", 2),
        ("to=2020-01-01", 0),
        ("startDate=2020-01-01&endDate=2020-12-31", 0),
        ("startDate=2020-01-01&endDate=2999-12-31", 2),
        ("from=2020-01-01T00:00:00Z&to=2999-01-01T00:00:00%2B02:00", 2),
    ],
)
def test_rows_are_found_by_action_actor_words_and_time(
    world: World, query: str, found: int
) -> None:
    act(world)

    assert len(rows(world.bob, of_instance(world, f"?{query}"))) == found


def test_the_last_day_of_a_range_is_within_it(world: World) -> None:
    act(world)
    today = f"{utc_now():%Y-%m-%d}"

    assert len(rows(world.bob, of_instance(world, f"?startDate={today}&endDate={today}"))) == 2


@pytest.mark.parametrize("query", ["from=yesterday", "endDate=2026-13-01", "export=xml"])
def test_what_cannot_be_asked_is_refused_by_its_name(world: World, query: str) -> None:
    answer = world.bob.get(of_instance(world, f"?{query}"))

    assert answer.status_code == 400
    assert answer.json()["errors"]


def test_members_read_their_projects_admins_read_all_and_charlie_reads_nothing_of_it(
    world: World,
) -> None:
    act(world)

    assert world.bob.get(of_instance(world)).status_code == 200
    assert world.charlie.get(of_instance(world)).status_code == 403
    for path in ("/api/audit-logs", "/api/audit/checkpoints", "/api/audit/verify"):
        assert world.alice.get(path).status_code == 200
        assert world.bob.get(path).status_code == 403
        assert world.stranger.get(path).status_code == 401
    assert "project.created" in actions(world.alice, "/api/audit-logs")
    assert rows(world.charlie, "/api/audit-logs") == []


def test_a_csv_is_streamed_as_a_file_and_taking_it_is_in_the_log(world: World) -> None:
    act(world)

    answer = world.bob.get(of_instance(world, "?export=csv&startDate=2020-01-01"))
    settle()

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    name = 'filename="audit-inspections-production.csv"'
    assert name in answer.headers["content-disposition"]
    found = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["action"] for row in found] == ["project.changed", "instance.changed"]
    newest = rows(world.bob, of_instance(world))[0]
    assert newest["action"] == "audit_log.exported"
    assert newest["details"]["format"] == "csv"
    assert newest["details"]["from"].startswith("2020-01-01")


def test_json_lines_of_the_organization_are_what_was_hashed(world: World) -> None:
    act(world)

    lines = world.alice.get("/api/audit-logs?export=jsonl").text.splitlines()

    assert [json.loads(line)["position"] for line in lines] == list(range(1, len(lines) + 1))
    assert json.loads(lines[1])["prevHash"] == rows(world.alice, "/api/audit-logs")[-1]["hash"]


def test_a_bundle_verifies_with_the_key_that_the_api_shows(world: World) -> None:
    act(world)
    assert world.alice.get("/api/audit-logs?export=bundle").status_code == 404
    sign()
    signed = world.alice.get("/api/audit/checkpoints").json()

    answer = world.alice.get("/api/audit-logs?export=bundle")

    assert answer.headers["content-type"] == "application/zip"
    kept = {"mine.txt": signed["checkpoints"][0]["note"]}
    report = verify(read_bundle(answer.content), kept=kept, trusted=[signed["publicKey"]])
    assert report.verified
    assert report.origin == signed["origin"]


def test_a_system_that_gathers_events_goes_on_from_where_it_was(world: World) -> None:
    act(world)

    first = world.alice.get("/api/audit-logs?format=ocsf&limit=2")
    then = world.alice.get(f"/api/audit-logs?format=ocsf&cursor={first.headers['x-next-cursor']}")
    again = world.alice.get(f"/api/audit-logs?format=ocsf&cursor={then.headers['x-next-cursor']}")

    assert first.headers["content-type"] == "application/x-ndjson"
    events = [json.loads(line) for answer in (first, then) for line in answer.text.splitlines()]
    assert [event["metadata"]["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert (again.text, again.headers["x-next-cursor"]) == ("", then.headers["x-next-cursor"])


def test_what_is_signed_and_where_it_went_is_shown(world: World) -> None:
    act(world)
    sign()
    settle()

    shown = world.alice.get("/api/audit/checkpoints").json()

    assert shown["rows"] == shown["checkpoints"][0]["size"]
    assert [each["name"] for each in shown["destinations"]] == ["blobs"]
    assert shown["removals"] == []


def test_the_server_verifies_when_it_is_asked_but_not_all_the_time(world: World) -> None:
    act(world)

    found = world.alice.get("/api/audit/verify").json()
    assert (found["verified"], found["first"], found["faults"]) == (True, 1, [])
    answers = [world.alice.get("/api/audit/verify") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0
