"""The pages of heartbeats: what a member sees, makes, changes and removes."""

from typing import Any

from tests.world import Browser, World


def base(world: World, rest: str = "") -> str:
    return f"/dashboard/projects/{world.project}/heartbeats{rest}"


def made(world: World, **more: Any) -> dict[str, Any]:
    answer = world.bob.post(
        f"/api/instances/{world.instance.id}/heartbeats", json={"name": "Nightly backup"} | more
    )
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def page(world: World, beat: dict[str, Any], rest: str = "") -> str:
    return base(world, f"/{world.instance.id}/{beat['id']}{rest}")


def shown(who: Browser, path: str) -> str:
    answer = who.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_without_any_the_list_shows_how_to_begin(world: World) -> None:
    text = shown(world.bob, base(world))

    assert "No job reports yet" in text
    assert f"/api/instances/{world.instance.id}/heartbeats" in text


def test_the_list_shows_states_schedules_and_what_is_wrong(world: World) -> None:
    beat = made(world, scheduleKind="cron", expression="0 3 * * *", timeZone="Europe/Berlin")
    world.stranger.get(beat["pingUrl"].removeprefix("http://mainstay.test") + "/3")

    text = shown(world.bob, base(world))
    assert "0 3 * * * (Europe/Berlin)" in text
    assert "with exit status 3" in text
    assert "Nightly backup" not in shown(world.bob, base(world, "?state=healthy"))
    assert "Nothing matches" in shown(world.bob, base(world, "?q=weekly"))


def test_the_page_of_one_has_its_reports_and_every_snippet(world: World) -> None:
    beat = made(world)
    path = beat["pingUrl"].removeprefix("http://mainstay.test")
    world.stranger.get(path + "/start")
    world.stranger.post(path, content=b"<b>3.2 GB</b>")

    text = shown(world.bob, page(world, beat))
    for snippet in (
        f"curl -fsS -m 10 --retry 5 -o /dev/null {beat['pingUrl']}",
        "0 3 * * * mainstay run --url",
        "urlopen(f",
        "ExecStopPost=-curl",
        "monitor_slug",
        "sentry-cli monitors run nightly-backup",
        "/api/push/",
        "/external?success=true",
    ):
        assert snippet in text, snippet
    body = shown(world.bob, page(world, beat, "/pings/2"))
    assert "&lt;b&gt;3.2 GB&lt;/b&gt;" in body
    assert "<b>3.2" not in body


def test_a_form_makes_one_and_shows_the_next_turns(world: World) -> None:
    turns = shown(
        world.bob,
        f"/dashboard/projects/{world.project}/heartbeat-turns?schedule_kind=cron"
        "&expression=30 4 * * 1&time_zone=America/New_York",
    )
    assert turns.count("<li>Mon ") == 10
    fields = {
        "name": "Weekly report",
        "schedule_kind": "cron",
        "expression": "30 4 * * 1",
        "time_zone": "America/New_York",
        "period_amount": "1",
        "period_unit": "86400",
        "grace_amount": "1.5",
        "grace_unit": "3600",
        "tags": "reports, weekly",
        "max_duration_seconds": "900",
    }
    form = base(world, f"/{world.instance.id}/new/change")
    assert 'name="expression"' in shown(world.bob, form)

    answer = world.bob.post(form, data=fields)

    assert answer.status_code == 303, answer.text
    text = shown(world.bob, answer.headers["location"])
    assert "30 4 * * 1 (America/New_York)" in text
    (beat,) = world.bob.get(f"/api/instances/{world.instance.id}/heartbeats").json()["heartbeats"]
    assert (beat["graceSeconds"], beat["maxDurationSeconds"], beat["tags"]) == (
        5400,
        900,
        ["reports", "weekly"],
    )


def test_a_refused_form_keeps_what_was_typed(world: World) -> None:
    answer = world.bob.post(
        base(world, f"/{world.instance.id}/new/change"),
        data={
            "name": "Weekly",
            "schedule_kind": "cron",
            "expression": "at noon",
            "time_zone": "UTC",
            "period_amount": "1",
            "period_unit": "86400",
            "grace_amount": "1",
            "grace_unit": "3600",
        },
    )

    assert answer.status_code == 400
    assert "A cron expression has 5 fields" in answer.text
    assert 'value="at noon"' in answer.text


def test_a_form_changes_and_empties_a_limit(world: World) -> None:
    beat = made(world, maxDurationSeconds=60)
    form = page(world, beat, "/change")
    assert 'value="60"' in shown(world.bob, form)

    answer = world.bob.post(
        form,
        data={
            "name": "Renamed",
            "slug": beat["slug"],
            "schedule_kind": "period",
            "time_zone": "UTC",
            "period_amount": "2",
            "period_unit": "3600",
            "grace_amount": "5",
            "grace_unit": "60",
            "max_duration_seconds": "",
        },
    )

    assert answer.status_code == 303, answer.text
    after = world.bob.get(f"/api/instances/{world.instance.id}/heartbeats/{beat['id']}").json()
    assert (after["name"], after["periodSeconds"], after["maxDurationSeconds"]) == (
        "Renamed",
        7200,
        None,
    )


def test_buttons_pause_resume_and_remove(world: World) -> None:
    beat = made(world)
    assert world.bob.post(page(world, beat, "/pause")).status_code == 303
    assert "Resume" in shown(world.bob, page(world, beat))
    assert world.bob.post(page(world, beat, "/resume")).status_code == 303

    world.bob.post(page(world, beat, "/remove"), data={"sure": "another"})
    assert world.bob.get(page(world, beat)).status_code == 200
    world.bob.post(page(world, beat, "/remove"), data={"sure": "Nightly backup"})
    assert world.bob.get(page(world, beat)).status_code == 404


def test_keys_are_made_and_removed_by_admins(world: World) -> None:
    here = f"/dashboard/projects/{world.project}/heartbeat-keys"
    assert world.bob.get(here).status_code == 403

    answer = world.alice.post(
        base(world, f"/{world.instance.id}/keys"),
        data={"kind": "write", "name": "deploy", "scope": "project"},
    )

    assert "Copy it now" in answer.text
    assert "the whole project" in shown(world.alice, here)


def test_charlie_sees_none_of_it(world: World) -> None:
    beat = made(world)
    for path in (base(world), page(world, beat), page(world, beat, "/change")):
        assert world.charlie.get(path).status_code == 404
    theirs = f"/dashboard/projects/{world.charlies_instance.project_slug}/heartbeats"
    mixed = f"{theirs}/{world.instance.id}/{beat['id']}"
    assert world.charlie.get(mixed).status_code == 404


def test_a_refused_form_tells_nothing_of_a_heartbeat_of_others(world: World) -> None:
    beat = made(world)
    theirs = world.charlies_instance
    for instance_id in (theirs.id, world.instance.id):
        path = f"/dashboard/projects/{theirs.project_slug}/heartbeats/{instance_id}"
        answer = world.charlie.post(f"{path}/{beat['id']}/change", data={"name": ""})
        assert answer.status_code == 404
        assert beat["name"] not in answer.text
