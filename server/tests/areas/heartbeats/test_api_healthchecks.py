"""Healthchecks' management API: its documents, statuses and refusals, word for word."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from mainstay_server.areas.alerts import area as alerts
from mainstay_server.areas.heartbeats import area as heartbeats
from mainstay_server.areas.heartbeats.models import KeyKind
from mainstay_server.areas.heartbeats.service import keys
from mainstay_server.areas.heartbeats.service.intake import close_intake
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import transaction
from mainstay_server.tenancy.service.environments import see_environment
from tests.world import BASE_URL, World

NOW = utc_now()


class Client:
    """A client that knows only Healthchecks' documentation."""

    def __init__(self, world: World, kind: KeyKind, *, version: int = 3) -> None:
        self._ask = world.stranger.request
        self._base = f"/api/v{version}"
        with transaction() as session:
            self.key = keys.create_key(
                session, world.instance, kind=kind, name="c", whole_project=True, now=NOW
            ).text

    def __call__(self, method: str, path: str, **options: Any) -> Any:
        return self._ask(method, self._base + path, headers={"X-Api-Key": self.key}, **options)

    def made(self, **spec: Any) -> dict[str, Any]:
        answer = self("POST", "/checks/", json=spec)
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        return body


@pytest.fixture
def client(world: World) -> Client:
    return Client(world, KeyKind.WRITE)


def test_a_check_is_made_with_their_defaults_and_documents(client: Client) -> None:
    made = client.made(name="Backups", tags="prod www", timeout=3600, grace=60)

    uuid = made["uuid"]
    badge = made.pop("badge_url")
    assert badge.startswith(f"{BASE_URL}/b/2/")
    assert made == {
        "name": "Backups",
        "slug": "",
        "tags": "prod www",
        "desc": "",
        "grace": 60,
        "n_pings": 0,
        "status": "new",
        "started": False,
        "last_ping": None,
        "next_ping": None,
        "manual_resume": False,
        "methods": "",
        "subject": "",
        "subject_fail": "",
        "start_kw": "",
        "success_kw": "",
        "failure_kw": "",
        "filter_subject": False,
        "filter_body": False,
        "filter_http_body": False,
        "filter_default_fail": False,
        "uuid": uuid,
        "ping_url": f"{BASE_URL}/ping/{uuid}",
        "update_url": f"{BASE_URL}/api/v3/checks/{uuid}",
        "pause_url": f"{BASE_URL}/api/v3/checks/{uuid}/pause",
        "resume_url": f"{BASE_URL}/api/v3/checks/{uuid}/resume",
        "channels": "",
        "timeout": 3600,
    }


def test_a_cron_and_a_calendar_are_told_apart(client: Client) -> None:
    cron = client.made(schedule="*/5 * * * *", tz="Europe/Riga")
    calendar = client.made(schedule="Mon..Fri 10:00")

    assert (cron["schedule"], cron["tz"]) == ("*/5 * * * *", "Europe/Riga")
    assert "timeout" not in cron
    assert calendar["schedule"] == "Mon..Fri 10:00"


def test_unique_changes_the_one_that_is_alike(client: Client) -> None:
    first = client.made(name="Backups", timeout=3600)

    again = client("POST", "/checks/", json={"name": "Backups", "grace": 120, "unique": ["name"]})
    assert again.status_code == 200
    assert (again.json()["uuid"], again.json()["grace"]) == (first["uuid"], 120)
    other = client("POST", "/checks/", json={"name": "Other", "unique": ["name"]})
    assert other.status_code == 201
    twice = client("POST", "/checks/", json={"name": "Backups"})
    assert twice.status_code == 201


def test_the_list_knows_tags_and_slugs(client: Client) -> None:
    client.made(name="a", slug="a", tags="x y")
    client.made(name="b", slug="b", tags="x")

    def names(query: str) -> list[str]:
        return [one["name"] for one in client("GET", f"/checks/{query}").json()["checks"]]

    assert names("") == ["a", "b"]
    assert names("?tag=x&tag=y") == ["a"]
    assert names("?slug=b") == ["b"]


def test_status_follows_reports_pause_and_resume(world: World, client: Client) -> None:
    check = client.made(name="x")
    here = f"/checks/{check['uuid']}"

    def status() -> str:
        found: str = client("GET", here).json()["status"]
        return found

    def ping(word: str) -> None:
        world.stranger.get(f"/ping/{check['uuid']}{word}")

    assert status() == "new"
    ping("/start")
    assert client("GET", here).json()["started"] is True
    ping("")
    assert status() == "up"
    assert client("GET", here).json()["last_duration"] == 0
    ping("/fail")
    assert status() == "down"
    assert client("GET", here).json()["next_ping"] is None
    assert client("POST", f"{here}/resume").json() == {"error": "check is not paused"}
    assert client("POST", f"{here}/pause").json()["status"] == "paused"
    assert client("POST", f"{here}/resume").json()["status"] == "new"
    assert client("DELETE", here).json()["uuid"] == check["uuid"]
    assert client("GET", here).status_code == 404


def test_reports_bodies_and_flips(world: World, client: Client) -> None:
    check = client.made(name="x")
    for word, body in (("", b"fine"), ("/fail", b""), ("", b"")):
        world.stranger.post(f"/ping/{check['uuid']}{word}", content=body)
    here = f"/checks/{check['uuid']}"

    pings = client("GET", f"{here}/pings/").json()["pings"]
    assert [(one["n"], one["type"]) for one in pings] == [
        (3, "success"),
        (2, "fail"),
        (1, "success"),
    ]
    assert set(pings[0]) == {
        "type",
        "date",
        "n",
        "scheme",
        "remote_addr",
        "method",
        "ua",
        "rid",
        "body_url",
    }
    assert pings[2]["body_url"] == f"{BASE_URL}/api/v3{here}/pings/1/body"
    assert client("GET", f"{here}/pings/1/body").text == "fine"
    assert client("GET", f"{here}/pings/2/body").status_code == 404
    flips = client("GET", f"{here}/flips/").json()["flips"]
    assert [flip["up"] for flip in flips] == [1, 0, 1]
    assert client("GET", f"{here}/flips/?seconds=0").json() == {"flips": []}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"timeout": 59}, "timeout is too small"),
        ({"grace": 31_536_001}, "grace is too large"),
        ({"name": "x" * 101}, "name is too long"),
        ({"name": 3}, "name is not a string"),
        ({"timeout": "3600"}, "timeout is not a number"),
        ({"manual_resume": "yes"}, "manual_resume is not a boolean"),
        ({"methods": "PUT"}, "methods has unexpected value"),
        ({"slug": "Uh Oh"}, "slug does not match pattern"),
        ({"schedule": "whenever"}, "schedule is not a valid cron or OnCalendar expression"),
        ({"tz": "Mars/Olympus"}, "tz is not a valid timezone"),
        ({"unique": ["colour"]}, "unique has unexpected value"),
    ],
)
def test_faults_are_told_in_their_words(client: Client, spec: dict[str, Any], said: str) -> None:
    answer = client("POST", "/checks/", json=spec)

    assert answer.status_code == 400
    assert answer.json() == {"error": f"json validation error: {said}"}
    assert client("GET", "/checks/").json() == {"checks": []}


def test_what_is_no_json_is_refused(client: Client) -> None:
    answer = client("POST", "/checks/", content=b"{")
    assert (answer.status_code, answer.json()) == (400, {"error": "could not parse request body"})


def test_a_key_that_reads_sees_no_address_and_changes_nothing(world: World) -> None:
    check = Client(world, KeyKind.WRITE).made(name="x", tags="t")
    reader = Client(world, KeyKind.READ)

    (seen,) = reader("GET", "/checks/").json()["checks"]
    key = hashlib.sha1(check["uuid"].encode(), usedforsecurity=False).hexdigest()
    assert seen["unique_key"] == key
    assert not {"uuid", "ping_url", "update_url", "pause_url", "channels"} & set(seen)
    assert reader("GET", f"/checks/{key}").json()["name"] == "x"
    assert reader("GET", f"/checks/{key}/flips/").json() == {"flips": []}
    for method, path in (
        ("POST", "/checks/"),
        ("POST", f"/checks/{check['uuid']}"),
        ("POST", f"/checks/{check['uuid']}/pause"),
        ("DELETE", f"/checks/{check['uuid']}"),
        ("GET", f"/checks/{check['uuid']}/pings/"),
        ("GET", "/channels/"),
    ):
        assert reader(method, path).status_code == 401, path


def test_keys_open_their_own_project_only(world: World, client: Client) -> None:
    check = client.made(name="x")
    with transaction() as session:
        theirs = keys.create_key(
            session,
            world.charlies_instance,
            kind=KeyKind.WRITE,
            name="c",
            whole_project=True,
            now=NOW,
        ).text

    def ask(key: str, path: str) -> Any:
        return world.stranger.get(f"/api/v3{path}", headers={"x-api-key": key} if key else {})

    assert ask(theirs, "/checks/").json() == {"checks": []}
    assert ask(theirs, f"/checks/{check['uuid']}").status_code == 403
    assert (ask("", "/checks/").status_code, ask("", "/checks/").json()) == (
        401,
        {"error": "missing api key"},
    )
    assert ask("nonsense", "/checks/").json() == {"error": "wrong api key"}
    assert ask("", "/status/").text == "OK"


def test_a_key_of_one_instance_sees_only_that(world: World, client: Client) -> None:
    client.made(name="production")
    with transaction() as session:
        staging = see_environment(session, world.instance.project_id, "staging", now=NOW)
        key = keys.create_key(
            session, staging, kind=KeyKind.WRITE, name="s", whole_project=False, now=NOW
        ).text
    headers = {"x-api-key": key}

    world.stranger.post("/api/v3/checks/", headers=headers, json={"name": "staging"})

    listed = world.stranger.get("/api/v3/checks/", headers=headers).json()["checks"]
    assert [one["name"] for one in listed] == ["staging"]


def test_version_one_says_started_and_makes_slugs(world: World) -> None:
    client = Client(world, KeyKind.WRITE, version=1)
    check = client.made(name="My Check")
    world.stranger.get(f"/ping/{check['uuid']}/start")

    assert check["slug"] == "my-check"
    assert client("GET", f"/checks/{check['uuid']}").json()["status"] == "started"


def test_channels_are_those_that_alerts_tell(client_for: Callable[..., World]) -> None:
    world = client_for(heartbeats, alerts)
    answer = world.alice.post(
        f"/api/instances/{world.instance.id}/alert-channels",
        json={"type": "webhook", "config": {"webhookUrl": "http://127.0.0.1:9/hook"}},
    )
    assert answer.status_code == 201, answer.text
    client = Client(world, KeyKind.WRITE)

    (channel,) = client("GET", "/channels/").json()["channels"]
    assert channel["kind"] == "webhook"
    assert client.made(name="x", channels="*")["channels"] == channel["id"]
    refused = client("POST", "/checks/", json={"name": "y", "channels": "nobody"})
    assert refused.status_code == 400
    close_intake()
