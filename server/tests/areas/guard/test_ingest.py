"""Verdicts, policies and reports, over the real app."""

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from mainstay_server.areas.guard import ingest, jobs
from mainstay_server.kernel import columns
from mainstay_server.kernel.clock import utc_now
from tests.areas.guard.worlds import PASSWORD, Doorman
from tests.waiting import eventually
from tests.world import World

WIRE = Path(__file__).parents[4] / "wire" / "guard"
FULL = (WIRE / "report.full.json").read_bytes()
MINIMAL = (WIRE / "report.minimal.json").read_bytes()


def check(world: World, **headers: str) -> httpx.Response:
    given = {"x-mainstay-instance": world.instance.id, "x-forwarded-uri": "/api/insights"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    return world.stranger.get("/api/guard/check", headers=given)


def ask_policy(world: World, key: str, query: str = "", **headers: str) -> httpx.Response:
    given = {"authorization": f"Bearer {key}"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    return world.stranger.get(f"/api/guard/policy{query}", headers=given)


def report(world: World, key: str, body: bytes, **headers: str) -> int:
    given = {"authorization": f"Bearer {key}", **headers}
    return world.stranger.post("/api/guard/report", content=body, headers=given).status_code


def stored(world: World) -> list[dict[str, Any]]:
    asyncio.run(jobs.store_verdicts(now=utc_now()))
    return columns.query(
        "SELECT source, refusal, status, simulated, sum(count) AS count, sum(cost) AS cost"
        " FROM guard_passages WHERE instance_id = {instance_id:String}"
        " GROUP BY source, refusal, status, simulated ORDER BY source, refusal, status",
        instance_id=world.instance.id,
    )


def test_a_proxy_is_told_who_passes_and_why_others_do_not(world: World) -> None:
    passed = check(world, authorization=f"Bearer {PASSWORD}")
    assert passed.status_code == 200
    assert passed.headers["x-mainstay-key-id"] == "key-1"
    assert passed.headers["x-mainstay-owner"] == "acme"
    assert passed.headers["x-mainstay-scopes"] == "door:open"
    assert passed.headers["ratelimit"] == '"default";r=9;t=60'
    assert check(world, x_api_key=PASSWORD).status_code == 200

    refused = check(world, authorization="Bearer hunter2")
    assert refused.status_code == 401
    assert refused.json()["code"] == "key-unknown"
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["ratelimit"] == '"default";r=9;t=60'
    assert check(world).json()["code"] == "key-missing"


def test_only_the_word_of_a_trusted_proxy_tells_the_clients_address(world: World) -> None:
    spoofed = check(
        world, authorization=f"Bearer {PASSWORD}", x_forwarded_for="192.0.2.66, 203.0.113.9"
    )
    assert spoofed.status_code == 200, "what the client claimed stands left of what the proxy saw"
    seen = check(
        world, authorization=f"Bearer {PASSWORD}", x_forwarded_for="203.0.113.9, 192.0.2.66"
    )
    assert seen.status_code == 200, "the test client is no trusted proxy, so no header counts"


def test_an_instance_that_is_missing_or_unknown_is_said_so(world: World) -> None:
    assert world.stranger.get("/api/guard/check").status_code == 400
    assert check(world, x_mainstay_instance="0" * 36).status_code == 404


def test_the_query_of_the_proxys_operator_wins_over_headers(world: World) -> None:
    answer = world.stranger.get(
        f"/api/guard/check?instance={world.instance.id}",
        headers={"x-mainstay-instance": "0" * 36, "x-api-key": PASSWORD},
    )
    assert answer.status_code == 200


def test_what_a_client_appends_to_the_query_changes_nothing(world: World) -> None:
    theirs = world.charlies_instance.id
    answer = world.stranger.get(
        f"/api/guard/check?instance={world.instance.id}&uri=/public?a=1&instance={theirs}"
    )
    assert answer.json()["code"] == "key-missing"


@pytest.mark.parametrize(
    "path", ["/admin/../public/x", "/admin/..%2fpublic/x", "/public/" + "a/" * 1200]
)
def test_a_path_with_two_meanings_is_refused(world: World, path: str) -> None:
    assert check(world, x_forwarded_uri=path, x_api_key=PASSWORD).json()["code"] == "path-ambiguous"


def test_two_headers_that_name_different_paths_are_refused(world: World) -> None:
    answer = check(world, x_forwarded_uri="/public", x_original_uri="/admin")
    assert (answer.status_code, answer.json()["code"]) == (403, "path-ambiguous")
    assert check(world, x_forwarded_uri="/public", x_original_uri="/public").status_code == 200


def test_an_app_never_sees_what_a_client_says_of_itself(world: World) -> None:
    answer = check(world, x_forwarded_uri="/public", x_mainstay_owner="forged")
    assert answer.status_code == 200
    assert answer.headers["x-mainstay-owner"] == ""
    assert answer.headers["x-mainstay-key-id"] == ""


def test_a_change_holds_for_the_very_next_request(world: World, doorman: Doorman) -> None:
    assert check(world, x_api_key=PASSWORD).status_code == 200
    doorman.change(world, "new")
    assert check(world, x_api_key=PASSWORD).status_code == 401
    assert check(world, x_api_key="new").status_code == 200


def test_in_simulation_everything_passes_and_what_would_not_is_told(world: World) -> None:
    path = f"/api/instances/{world.instance.id}/guard/settings"
    assert world.alice.patch(path, json={"mode": "simulate"}).status_code == 200

    answer = check(world, x_api_key="wrong")

    assert answer.status_code == 200
    assert answer.headers["x-mainstay-would-refuse"] == "key-unknown"
    assert stored(world) == [
        {
            "source": "check",
            "refusal": "key-unknown",
            "status": 200,
            "simulated": True,
            "count": 1,
            "cost": 1,
        }
    ]


def test_verdicts_are_stored_and_a_refused_key_is_not(world: World) -> None:
    for _ in range(3):
        check(world, x_api_key=PASSWORD)
    check(world, x_api_key="hunter2hunter2")

    rows = stored(world)

    assert [(row["refusal"], row["count"], row["cost"]) for row in rows] == [
        ("", 3, 3),
        ("key-unknown", 1, 0),
    ]
    everything = columns.query("SELECT * FROM guard_passages")
    assert "hunter2" not in str(everything)
    assert PASSWORD not in str(everything)


def test_a_server_may_ask_about_a_key(world: World, guard_key: str) -> None:
    headers = {"authorization": f"Bearer {guard_key}"}

    def ask(**question: object) -> dict[str, Any]:
        answer = world.stranger.post(
            "/api/guard/keys/verify", json={"key": PASSWORD, **question}, headers=headers
        )
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert isinstance(found, dict)
        return found

    good = ask(path="/api/insights", method="GET", address="203.0.113.9")
    assert (good["valid"], good["keyId"], good["owner"], good["plan"]) == (
        True,
        "key-1",
        "acme",
        "PRO",
    )
    assert ask(key="wrong")["code"] == "key-unknown"
    assert ask(address="192.0.2.66")["code"] == "address-not-allowed"


def test_questions_that_make_no_sense_are_refused(world: World, guard_key: str) -> None:
    headers = {"authorization": f"Bearer {guard_key}"}

    def status(body: bytes, **given: str) -> int:
        return world.stranger.post(
            "/api/guard/keys/verify", content=body, headers={**headers, **given}
        ).status_code

    assert status(b"no json") == 400
    assert status(b"{}") == 400
    assert status(b'{"key": "a", "unknown": 1}') == 400
    assert status(b'{"key": "' + b"a" * 70_000 + b'"}') == 413
    assert status(b'{"key": "a"}', authorization="Bearer mst_guard_wrong") == 401
    assert world.stranger.get("/api/guard/keys/verify", headers=headers).status_code == 405


def test_the_policy_is_given_for_a_guard_key_only(world: World, guard_key: str) -> None:
    answer = ask_policy(world, guard_key)
    assert answer.status_code == 200
    document = answer.json()
    assert document["instanceId"] == world.instance.id
    assert document["keys"]["password"] == PASSWORD
    assert document["headers"]["set"]["X-Content-Type-Options"] == "nosniff"

    assert world.stranger.get("/api/guard/policy").status_code == 401
    assert ask_policy(world, world.ingest_key).status_code == 401
    assert (
        ask_policy(world, guard_key[:-1] + ("a" if guard_key[-1] != "a" else "b")).status_code
        == 401
    )


def test_a_policy_that_is_known_is_not_sent_again(world: World, guard_key: str) -> None:
    first = ask_policy(world, guard_key)
    again = ask_policy(world, guard_key, if_none_match=first.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    assert ask_policy(world, guard_key, "?wait=never").status_code == 400
    assert ask_policy(world, guard_key, "?wait=56").status_code == 400
    assert ask_policy(world, guard_key, "?wait=" + "9" * 5000).status_code == 400


def test_another_environment_has_a_policy_of_its_own(world: World, guard_key: str) -> None:
    staging = ask_policy(world, guard_key, "?environment=staging").json()
    assert staging["environment"] == "staging"
    assert staging["instanceId"] != world.instance.id


def test_a_revoked_guard_key_opens_nothing(world: World, guard_key: str) -> None:
    assert ask_policy(world, guard_key).status_code == 200
    path = f"/api/projects/{world.project}/guard-keys"
    (key,) = world.alice.get(path).json()["guardKeys"]
    assert world.alice.post(f"{path}/{key['id']}/revoke").status_code == 200

    eventually(lambda: ask_policy(world, guard_key).status_code != 200)
    assert ask_policy(world, guard_key).status_code == 401


def test_the_golden_reports_are_taken_and_a_repeated_one_is_stored_once(
    world: World, guard_key: str
) -> None:
    assert report(world, guard_key, FULL) == 200
    packed = {"content-encoding": "gzip"}
    assert report(world, guard_key, gzip.compress(FULL), **packed) == 200
    assert report(world, guard_key, MINIMAL) == 200

    assert [(row["status"], row["count"]) for row in stored(world)] == [
        (201, 12),
        (404, 1),
        (401, 1),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        FULL[:-7],
        b'{"batchId": "short", "passages": []}',
        b'{"batchId": "long enough", "passages": [], "x": ' + b"[" * 100_000,
        json.dumps({**json.loads(FULL), "passages": json.loads(FULL)["passages"] * 1001}).encode(),
        FULL.replace(b'"count": 12', b'"count": -1'),
    ],
)
def test_reports_that_make_no_sense_are_refused(world: World, guard_key: str, body: bytes) -> None:
    assert report(world, guard_key, body) == 400
    assert stored(world) == []


def test_times_at_the_ends_of_the_calendar_are_taken_to_be_now(
    world: World, guard_key: str
) -> None:
    body = {**json.loads(MINIMAL), "sentAt": "9999-12-31T23:59:59.999Z"}
    body["passages"][0]["at"] = "0001-01-01T00:00:00.000Z"
    assert report(world, guard_key, json.dumps(body).encode()) == 200
    assert stored(world)[0]["count"] == 1


def test_the_public_ingest_key_may_not_report(world: World) -> None:
    assert report(world, world.ingest_key, FULL) == 401


def test_every_plain_route_says_whom_it_lets_in() -> None:
    assert all(len(route.access) > 20 for route in ingest.plain_routes)
