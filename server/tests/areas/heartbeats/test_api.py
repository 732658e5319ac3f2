"""Our own API: made, changed, read and removed, by those who may."""

from typing import Any

from tests.world import Browser, World

CRON = {
    "name": "Nightly backup",
    "scheduleKind": "cron",
    "expression": "0 3 * * *",
    "timeZone": "Europe/Berlin",
    "graceSeconds": 600,
    "tags": ["backup", "db"],
}


def url(world: World, rest: str = "") -> str:
    return f"/api/instances/{world.instance.id}/heartbeats{rest}"


def made(world: World, who: Browser | None = None, **more: Any) -> dict[str, Any]:
    answer = (who or world.bob).post(url(world), json=CRON | more)
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_a_member_makes_one_and_it_waits_for_its_first_report(world: World) -> None:
    beat = made(world)

    assert (beat["slug"], beat["state"], beat["dueAt"]) == ("nightly-backup", "unknown", None)
    path = beat["pingUrl"].removeprefix("http://mainstay.test")
    assert world.stranger.get(path).text == "OK"
    after = world.bob.get(url(world, f"/{beat['id']}")).json()
    assert (after["state"], after["pingsCount"]) == ("healthy", 1)
    assert after["dueAt"] is not None


def test_a_second_of_the_same_name_gets_a_slug_of_its_own(world: World) -> None:
    assert [made(world)["slug"] for _ in range(2)] == ["nightly-backup", "nightly-backup-2"]


def test_a_taken_slug_is_refused(world: World) -> None:
    made(world, slug="one")

    answer = world.bob.post(url(world), json=CRON | {"slug": "one"})

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_a_limit_is_set_and_emptied_again(world: World) -> None:
    beat = made(world, maxDurationSeconds=3600)

    changed = world.bob.patch(url(world, f"/{beat['id']}"), json={"maxDurationSeconds": None})

    assert changed.json()["maxDurationSeconds"] is None
    assert changed.json()["graceSeconds"] == 600


def test_a_schedule_that_never_comes_is_refused(world: World) -> None:
    answer = world.bob.post(url(world), json=CRON | {"expression": "0 3 * *"})

    assert answer.status_code == 400
    assert "5 fields" in answer.json()["detail"]


def test_the_list_is_searched_and_paged(world: World) -> None:
    for name in ("Report", "Backup A", "Backup B"):
        made(world, name=name, tags=[name.lower().split()[0]])

    first = world.bob.get(url(world, "?limit=2")).json()
    rest = world.bob.get(url(world, f"?limit=2&cursor={first['nextCursor']}")).json()
    names = [beat["name"] for beat in first["heartbeats"] + rest["heartbeats"]]
    assert names == ["Backup A", "Backup B", "Report"]
    tagged = world.bob.get(url(world, "?tag=report")).json()["heartbeats"]
    assert [beat["name"] for beat in tagged] == ["Report"]
    found = world.bob.get(url(world, "?q=up%20b")).json()["heartbeats"]
    assert [beat["name"] for beat in found] == ["Backup B"]


def test_pausing_and_resuming(world: World) -> None:
    beat = made(world)
    here = url(world, f"/{beat['id']}")

    assert world.bob.post(f"{here}/pause").json()["state"] == "paused"
    assert world.bob.post(f"{here}/resume").json()["state"] == "unknown"
    assert world.bob.post(f"{here}/resume").status_code == 409


def test_what_was_reported_is_read_with_its_body(world: World) -> None:
    beat = made(world)
    path = beat["pingUrl"].removeprefix("http://mainstay.test")
    world.stranger.post(f"{path}/7", content=b"<script>no</script>")
    here = url(world, f"/{beat['id']}")

    (ping,) = world.bob.get(f"{here}/pings").json()["pings"]
    assert (ping["signal"], ping["exitStatus"], ping["bodyBytes"]) == ("fail", 7, 19)
    body = world.bob.get(f"{here}/pings/1/body")
    assert (body.text, body.headers["content-type"]) == (
        "<script>no</script>",
        "text/plain; charset=utf-8",
    )
    assert world.bob.get(f"{here}/pings/2/body").status_code == 404
    uptime = world.bob.get(f"{here}/uptime").json()
    assert [spell["state"] for spell in uptime["spells"]] == ["unknown", "unhealthy"]


def test_a_preview_shows_the_next_turns_of_an_expression(world: World) -> None:
    base = f"/api/instances/{world.instance.id}/heartbeat-schedule"

    turns = world.bob.get(f"{base}?expression=0 3 * * *&zone=Europe/Berlin").json()
    assert len(turns["turns"]) == len(turns["local"]) == 10
    assert all("03:00:00" in turn for turn in turns["local"])
    assert world.bob.get(f"{base}?expression=never").status_code == 400


def test_keys_are_made_by_admins_only_and_shown_once(world: World) -> None:
    base = f"/api/instances/{world.instance.id}/heartbeat-keys"
    assert world.bob.post(base, json={"kind": "write", "name": "deploy"}).status_code == 403

    key = world.alice.post(base, json={"kind": "write", "name": "deploy"}).json()
    assert len(key["key"]) == 32
    listed = world.alice.get(base).json()["keys"]
    assert [one["key"] for one in listed] == [key["key"][:6] + "…"]
    assert world.alice.delete(f"{base}/{key['id']}").status_code == 204
    assert world.alice.get(base).json()["keys"] == []


def test_charlie_neither_sees_nor_changes_anything(world: World) -> None:
    beat = made(world)
    for path in ("", f"/{beat['id']}", f"/{beat['id']}/pings"):
        assert world.charlie.get(url(world, path)).status_code == 403
    theirs = f"/api/instances/{world.charlies_instance.id}/heartbeats/{beat['id']}"
    assert world.charlie.get(theirs).status_code == 404
    assert world.charlie.delete(theirs).status_code == 404


def test_one_that_is_removed_is_gone_with_its_address(world: World) -> None:
    beat = made(world)

    assert world.bob.delete(url(world, f"/{beat['id']}")).status_code == 204

    path = beat["pingUrl"].removeprefix("http://mainstay.test")
    assert world.stranger.get(path).status_code == 404


def test_a_badge_is_drawn_for_whoever_has_its_address(world: World) -> None:
    beat = made(world)
    key = world.alice.post(
        f"/api/instances/{world.instance.id}/heartbeat-keys", json={"kind": "read", "name": "b"}
    ).json()["key"]
    badges = world.stranger.get("/api/v3/badges/", headers={"x-api-key": key}).json()["badges"]
    assert set(badges) == {"backup", "db", "*"}
    world.stranger.get(beat["pingUrl"].removeprefix("http://mainstay.test") + "/fail")

    path = badges["db"]["json3"].removeprefix("http://mainstay.test")
    assert world.stranger.get(path).json() == {"status": "down", "total": 1, "grace": 0, "down": 1}
    shields = world.stranger.get(badges["*"]["shields"].removeprefix("http://mainstay.test")).json()
    assert (shields["schemaVersion"], shields["message"], shields["color"]) == (
        1,
        "down",
        "critical",
    )
    drawn = world.stranger.get(badges["*"]["svg"].removeprefix("http://mainstay.test"))
    assert drawn.headers["content-type"] == "image/svg+xml"
    assert world.stranger.get(path.replace("db.json", "backup.json")).status_code == 404
