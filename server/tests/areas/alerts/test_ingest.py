"""The door of Alertmanager's clients: its shapes, who gets in, and what no body can do to it."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx2 as httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mainstay_server.areas import alerts
from mainstay_server.areas.alerts.ingest import alertmanager
from mainstay_server.kernel.clock import rfc3339, utc_now
from mainstay_server.kernel.labels import fingerprint
from tests.world import INGEST_KEY, Browser, World

DISK = {"alertname": "DiskFull", "instance": "db-1:9100", "severity": "critical"}


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(alerts.area)


def bearer(credential: str) -> dict[str, str]:
    return {"authorization": f"Bearer {credential}"}


def basic(user: str, password: str) -> dict[str, str]:
    encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"authorization": f"Basic {encoded}"}


def token_of(who: Browser, *scopes: str) -> str:
    made = who.post("/api/tokens", json={"name": "amtool", "scopes": list(scopes)})
    assert made.status_code in (200, 201), made.text
    return str(made.json()["token"])


def path(world: World, rest: str) -> str:
    return f"/alertmanager/{world.project}/{rest}"


def ask(world: World, method: str, rest: str, credential: str, **options: Any) -> httpx.Response:
    return world.stranger.request(method, path(world, rest), headers=bearer(credential), **options)


def send(world: World, *posted: dict[str, Any], key: str = INGEST_KEY) -> httpx.Response:
    return ask(world, "POST", "api/v2/alerts", key, json=list(posted))


def moment(minutes: float) -> str:
    return rfc3339(utc_now() + timedelta(minutes=minutes))


@pytest.fixture
def token(world: World) -> str:
    return token_of(world.bob, "project:write")


def alerts_of(world: World, token: str, query: str = "") -> list[dict[str, Any]]:
    answer = ask(world, "GET", f"api/v2/alerts{query}", token)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def a_silence(**changes: Any) -> dict[str, Any]:
    matcher = {"name": "alertname", "value": "Disk.*", "isRegex": True}
    return {
        "matchers": [matcher],
        "startsAt": moment(0),
        "endsAt": moment(60),
        "createdBy": "bob",
        "comment": "Moving",
        **changes,
    }


def test_an_alert_comes_back_as_alertmanager_tells_it(world: World, token: str) -> None:
    began = moment(-3)
    annotations = {"summary": "Full"}
    alert = {"labels": DISK, "annotations": annotations, "startsAt": began, "endsAt": moment(4)}
    taken = send(world, {**alert, "generatorURL": "http://prometheus/graph"})
    assert (taken.status_code, taken.content) == (200, b"")

    (found,) = alerts_of(world, token)

    assert found == {
        "labels": DISK,
        "annotations": annotations,
        "startsAt": began,
        "endsAt": alert["endsAt"],
        "updatedAt": found["updatedAt"],
        "generatorURL": "http://prometheus/graph",
        "fingerprint": fingerprint(DISK),
        "receivers": [{"name": "mainstay"}],
        "status": {"state": "active", "silencedBy": [], "inhibitedBy": [], "mutedBy": []},
    }


def test_our_own_alerts_are_told_as_well(world: World, token: str) -> None:
    alert = {"type": "backup_failed", "severity": "critical", "title": "Empty", "message": "0 B"}
    world.bob.post(f"/api/instances/{world.instance.id}/alerts", json=alert)

    (found,) = alerts_of(world, token, "?filter=alertname%3D%22backup_failed%22")

    assert found["annotations"] == {"summary": "Empty", "description": "0 B"}
    assert found["labels"]["environment"] == "production"


def test_the_environment_of_an_alert_is_its_label_or_the_default_instance(
    world: World, token: str
) -> None:
    send(
        world,
        {"labels": {"alertname": "A", "environment": "staging"}},
        {"labels": {"alertname": "B", "instance_environment": "staging"}},
        {"labels": {"alertname": "C"}},
    )

    project = world.bob.get(f"/api/projects/{world.project}").json()
    names = {each["environment"]: each["id"] for each in project["instances"]}
    staged = world.bob.get(f"/api/instances/{names['staging']}/alerts").json()["alerts"]
    default = world.bob.get(f"/api/instances/{world.instance.id}/alerts").json()["alerts"]
    assert sorted(each["title"] for each in staged) == ["A", "B"]
    assert [each["title"] for each in default] == ["C"]
    assert len(alerts_of(world, token)) == 3


def test_a_silence_holds_is_changed_replaced_and_ended(world: World, token: str) -> None:
    send(world, {"labels": DISK}, {"labels": {"alertname": "Other"}})
    made = ask(world, "POST", "api/v2/silences", token, json=a_silence()).json()["silenceID"]

    held = alerts_of(world, token, "?active=false")
    assert [each["status"]["silencedBy"] for each in held] == [[made]]
    assert held[0]["status"]["state"] == "suppressed"
    assert [a["labels"]["alertname"] for a in alerts_of(world, token, "?silenced=false")] == [
        "Other"
    ]

    later = a_silence(id=made, endsAt=moment(120))
    assert ask(world, "POST", "api/v2/silences", token, json=later).json()["silenceID"] == made
    told = ask(world, "GET", f"api/v2/silence/{made}", token).json()
    assert told["endsAt"] == later["endsAt"]
    assert told["matchers"] == [{**later["matchers"][0], "isEqual": True}]
    assert (told["createdBy"], told["status"]) == ("bob", {"state": "active"})

    other = a_silence(id=made, matchers=[{"name": "a", "value": "b", "isRegex": False}])
    replaced = ask(world, "POST", "api/v2/silences", token, json=other).json()["silenceID"]
    assert replaced != made
    states = {
        each["id"]: each["status"]["state"]
        for each in ask(world, "GET", "api/v2/silences", token).json()
    }
    assert states == {made: "expired", replaced: "active"}
    filtered = ask(world, "GET", "api/v2/silences?filter=a%3Db", token).json()
    assert [each["id"] for each in filtered] == [replaced]

    for _ in range(2):
        assert ask(world, "DELETE", f"api/v2/silence/{replaced}", token).status_code == 200
    assert alerts_of(world, token, "?active=false") == []


def test_what_a_graver_alert_or_a_person_holds_back_is_told_as_suppressed(
    world: World, token: str
) -> None:
    thing = {"health_check": "front page", "project": "inspections", "environment": "production"}
    grave = {"alertname": "Down", "severity": "critical", **thing}
    send(
        world, {"labels": grave}, {"labels": {"alertname": "Slow", "severity": "warning", **thing}}
    )

    (held,) = alerts_of(world, token, "?filter=alertname%3DSlow")
    assert held["status"]["state"] == "suppressed"
    assert held["status"]["inhibitedBy"] == [fingerprint(grave)]
    told = alerts_of(world, token, "?inhibited=false")
    assert [alert["labels"]["alertname"] for alert in told] == ["Down"]


def test_groups_receivers_and_status_have_the_shapes_that_clients_read(
    world: World, token: str
) -> None:
    hook = {"type": "webhook", "name": "Ops", "config": {"webhookUrl": "https://hooks.example/a"}}
    made = world.bob.post(f"/api/projects/{world.project}/alert-channels", json=hook)
    assert made.status_code == 201
    send(world, {"labels": DISK}, {"labels": {**DISK, "instance": "db-2:9100"}})

    (group,) = ask(world, "GET", "api/v2/alerts/groups", token).json()
    assert (group["labels"], group["receiver"]) == ({"alertname": "DiskFull"}, {"name": "Ops"})
    assert len(group["alerts"]) == 2
    assert ask(world, "GET", "api/v2/receivers", token).json() == [{"name": "Ops"}]
    assert len(alerts_of(world, token, "?receiver=O.s")) == 2
    assert alerts_of(world, token, "?receiver=O") == []
    status = ask(world, "GET", "api/v2/status", token).json()
    assert status["cluster"] == {"status": "disabled", "peers": []}
    assert "receiver: mainstay" in status["config"]["original"]


def test_what_a_webhook_is_told_opens_and_ends(world: World, token: str) -> None:
    def tell(status: str) -> httpx.Response:
        told = {
            "version": "4",
            "groupKey": "{}",
            "truncatedAlerts": 0,
            "receiver": "mainstay",
            "status": status,
            "externalURL": "http://alertmanager",
            "alerts": [
                {
                    "status": status,
                    "labels": DISK,
                    "annotations": {},
                    "startsAt": moment(-5),
                    "endsAt": moment(0) if status == "resolved" else "0001-01-01T00:00:00Z",
                    "generatorURL": "",
                    "fingerprint": fingerprint(DISK),
                }
            ],
        }
        return ask(world, "POST", "webhook", INGEST_KEY, json=told)

    assert tell("firing").status_code == 200
    assert len(alerts_of(world, token)) == 1
    assert tell("resolved").status_code == 200
    assert alerts_of(world, token) == []


@pytest.mark.parametrize("way", ["password", "user", "bearer"])
def test_each_way_of_showing_a_credential_opens_the_door(world: World, way: str) -> None:
    token = token_of(world.bob, "project:read")
    headers = {
        "password": basic("amtool", token),
        "user": basic(token, ""),
        "bearer": bearer(token),
    }[way]

    answer = world.stranger.get(path(world, "api/v2/status"), headers=headers)

    assert answer.status_code == 200


def test_an_ingest_key_sends_and_reads_nothing(world: World) -> None:
    assert send(world, {"labels": DISK}).status_code == 200
    for method, rest in (
        ("GET", "api/v2/alerts"),
        ("GET", "api/v2/silences"),
        ("POST", "api/v2/silences"),
        ("GET", "api/v2/status"),
    ):
        refused = ask(world, method, rest, INGEST_KEY, **({"json": {}} if method == "POST" else {}))
        assert refused.status_code == 403
        assert "use an access token" in refused.json()


def test_nobody_gets_in_with_nothing_or_with_a_wrong_key(world: World) -> None:
    place = path(world, "api/v2/alerts")
    for headers in (
        {},
        bearer(""),
        bearer("wrong"),
        bearer("e" * 32),
        bearer("x" * 10_000),
        basic("", ""),
        {"authorization": "Basic !!!"},
        {"authorization": "Basic " + "A" * 5_000},
        {"authorization": "Digest x"},
    ):
        for method in ("GET", "POST"):
            answer = world.stranger.request(
                method, place, headers={**headers, "content-type": "application/json"}
            )
            assert answer.status_code == 401, headers
            assert isinstance(answer.json(), str)
            assert answer.headers["www-authenticate"] == "Bearer"


def test_a_browser_s_session_opens_nothing_here(world: World) -> None:
    assert world.alice.get(path(world, "api/v2/alerts")).status_code == 401


def test_charlie_neither_reads_nor_sends_to_the_project_of_others(world: World) -> None:
    theirs = token_of(world.charlie, "project:write")
    send(world, {"labels": DISK})

    for answer in (
        ask(world, "GET", "api/v2/alerts", theirs),
        ask(world, "POST", "api/v2/alerts", theirs, json=[{"labels": DISK}]),
        ask(world, "POST", "api/v2/silences", theirs, json=a_silence()),
        send(world, {"labels": DISK}, key="f" * 32),
    ):
        assert answer.status_code == 404
    own = f"/alertmanager/{world.charlies_instance.project_slug}/api/v2/alerts"
    assert world.stranger.get(own, headers=bearer(theirs)).json() == []


def test_a_token_that_only_reads_changes_nothing(world: World) -> None:
    reads = token_of(world.bob, "project:read")

    assert ask(world, "GET", "api/v2/alerts", reads).status_code == 200
    assert ask(world, "POST", "api/v2/silences", reads, json=a_silence()).status_code == 403
    assert ask(world, "POST", "api/v2/alerts", reads, json=[]).status_code == 403


def test_a_silence_of_the_whole_organization_is_for_who_administers_it(world: World) -> None:
    everywhere = world.alice.post(
        f"/api/projects/{world.project}/alert-silences",
        json={
            "matchers": "a=b",
            "endsAt": moment(60),
            "comment": "All",
            "reach": "organization",
        },
    ).json()["id"]
    bobs, alices = (
        token_of(who, "project:write", *more)
        for who, more in (
            (world.bob, ()),
            (world.alice, ("org:write",)),
        )
    )

    assert ask(world, "GET", f"api/v2/silence/{everywhere}", bobs).status_code == 200
    assert ask(world, "DELETE", f"api/v2/silence/{everywhere}", bobs).status_code == 403
    assert ask(world, "DELETE", f"api/v2/silence/{everywhere}", alices).status_code == 200


@pytest.mark.parametrize(
    ("method", "rest", "status"),
    [
        ("GET", "api/v1/alerts", 404),
        ("GET", "", 404),
        ("GET", "api/v2/silence/a/b", 404),
        ("GET", "api/v2/silence/", 404),
        ("GET", f"api/v2/silence/{'0' * 36}", 404),
        ("DELETE", "api/v2/alerts", 405),
        ("GET", "webhook", 405),
        ("GET", "api/v2/alerts?filter=abc", 400),
        ("GET", "api/v2/alerts?filter=a%3D~%22(%22", 400),
        ("GET", "api/v2/alerts?active=perhaps", 400),
        ("GET", "api/v2/alerts?receiver=(", 400),
        ("GET", "api/v2/alerts?" + "&".join(f"a{n}=1" for n in range(200)), 400),
    ],
)
def test_what_is_not_there_or_makes_no_sense_is_refused_in_words(
    world: World, token: str, method: str, rest: str, status: int
) -> None:
    answer = ask(world, method, rest, token)

    assert answer.status_code == status
    assert len(answer.json()) > 10


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"{}",
        b"null",
        b"[" * 100_000,
        b'[{"labels":{"a":"\\ud800"}}]',
        b'[{"labels":{"a":1}}]',
        b'[{"labels":{}}]',
        b'[{"labels":{"a":"b"},"startsAt":"2026-01-01T00:00:00"}]',
        b'[{"labels":{"a":"b"},"startsAt":"2026-01-02T00:00:00Z","endsAt":"2026-01-01T00:00:00Z"}]',
        json.dumps([{"labels": {"a": "b"}}] * 10_001).encode(),
    ],
)
def test_bodies_that_make_no_sense_are_refused(world: World, token: str, body: bytes) -> None:
    headers = {**bearer(INGEST_KEY), "content-type": "application/json"}

    for rest in ("api/v2/alerts", "webhook"):
        answer = world.stranger.post(path(world, rest), headers=headers, content=body)
        assert answer.status_code == 400
        assert isinstance(answer.json(), str)
    assert alerts_of(world, token) == []


def test_alerts_that_make_sense_are_taken_beside_those_that_make_none(
    world: World, token: str
) -> None:
    answer = send(world, {"labels": {}}, {"labels": DISK})

    assert answer.status_code == 400
    assert answer.json() == "alert 0: at least one label pair required"
    assert [alert["labels"] for alert in alerts_of(world, token)] == [DISK]


def test_ten_megabytes_are_refused_before_they_are_read(world: World) -> None:
    headers = {**bearer(INGEST_KEY), "content-type": "application/json"}

    answer = world.stranger.post(
        path(world, "api/v2/alerts"), headers=headers, content=b" " * (10 << 20)
    )

    assert answer.status_code == 413
    assert "over the limit of 8 MiB" in answer.json()


def test_a_page_of_another_origin_cannot_send_with_a_password_that_a_browser_kept(
    world: World, token: str
) -> None:
    headers = {**basic("amtool", token), "content-type": "text/plain"}

    answer = world.stranger.post(
        path(world, "api/v2/silences"), headers=headers, content=json.dumps(a_silence())
    )

    assert answer.status_code == 415


def test_many_environments_in_one_request_make_a_hundred_instances_at_most(world: World) -> None:
    places = alertmanager.MOST_ENVIRONMENTS + 20
    posted = [{"labels": {"alertname": "A", "environment": f"e{n}"}} for n in range(places)]

    assert send(world, *posted).status_code == 200

    project = world.bob.get(f"/api/projects/{world.project}").json()
    assert len(project["instances"]) <= 101


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["labels", "annotations", "startsAt", "endsAt", "alerts", "version", "matchers"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(["api/v2/alerts", "api/v2/silences", "webhook"]), JSON | st.binary())
def test_no_body_breaks_the_door(world: World, rest: str, body: object) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    token = getattr(world, "kept", None) or token_of(world.bob, "project:write")
    world.kept = token  # type: ignore[attr-defined] # one token for all examples
    headers = {**bearer(token), "content-type": "application/json"}

    answer = world.stranger.post(path(world, rest), headers=headers, content=content)

    assert answer.status_code in (200, 400), answer.text
