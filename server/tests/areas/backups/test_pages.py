"""The pages: what people read of backups, what the buttons do, and that a key is shown once."""

import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from mainstay_server.areas.backups.models import (
    Backup,
    BackupDestination,
    BackupDrill,
    BackupStatus,
    BackupTarget,
    DrillStatus,
)
from mainstay_server.areas.backups.pages import forms
from mainstay_server.areas.backups.service.manifests import packed
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.problems import Invalid
from starlette.datastructures import FormData
from tests.world import World

from .seen import DAY, a_drill, backup_of, become, target_of, world
from .standing import RECIPIENT
from .worlds import allow

__all__ = ["world"]

SECRET = re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]{58}")


def url(world: World, rest: str = "") -> str:
    return f"/dashboard/projects/{world.project}/backups{rest}"


def stored_target() -> BackupTarget:
    with reading() as session:
        return session.scalars(sa.select(BackupTarget)).one()


def test_without_a_target_the_pages_say_the_next_step(world: World) -> None:
    page = world.alice.get(url(world)).text

    assert "Nothing is backed up yet" in page
    assert url(world, "/new") in page
    assert "An admin sets it up" in world.bob.get(url(world)).text
    assert "Copies stay on this server" in world.bob.get(url(world, "/destinations")).text
    monitoring = world.alice.get(f"/dashboard/projects/{world.project}/monitoring").text
    assert "Nothing is backed up yet" in monitoring
    engines = world.alice.get(url(world, "/new")).text
    for name in ("PostgreSQL", "SQLite", "Redis", "Files"):
        assert name in engines


def test_a_target_made_on_the_page_shows_its_key_once(world: World, tmp_path: Path) -> None:
    allow(tmp_path)
    form = {
        "instance_id": world.instance.id,
        "name": "letters",
        "config": str(tmp_path),
        "schedule": "daily",
        "retention": "generations",
        "new_key": "shown",
        "drills": "weekly",
        "too_small_percent": "40",
    }

    answer = world.alice.post(url(world, "/new/files"), data=form)

    assert answer.status_code == 200, answer.text
    (secret,) = set(SECRET.findall(answer.text))
    target = stored_target()
    assert (target.name, target.engine, target.cron) == ("letters", "files", "0 2 * * *")
    kept = (target.keep_days, target.keep_daily, target.keep_weekly, target.keep_yearly)
    assert kept == (0, 7, 4, 2)
    assert (target.drills, target.drill_key, target.is_enabled) == ("weekly", "", False)
    for page in (url(world), url(world, f"/targets/{target.id}")):
        found = world.bob.get(page).text
        assert secret not in found
        assert "letters" in found
    assert "daily at 02:00 UTC" in world.bob.get(url(world, f"/targets/{target.id}")).text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": ""}, "The name must have 1 to 100 characters"),
        ({"config": ""}, "The folder is empty"),
        ({"config": "/etc"}, "MAINSTAY_BACKUP_FOLDERS"),
        ({"new_key": "none"}, "nobody could open"),
        ({"schedule": "own", "cron": "never"}, "five fields"),
        ({"retention": "own", "days": "many"}, "days must be a whole number"),
    ],
)
def test_what_makes_no_sense_comes_back_with_the_form_and_the_reason(
    world: World, tmp_path: Path, change: dict[str, str], words: str
) -> None:
    allow(tmp_path)
    form = {
        "instance_id": world.instance.id,
        "name": "letters",
        "config": str(tmp_path),
        "schedule": "daily",
        "retention": "production",
        "new_key": "shown",
        **change,
    }

    page = world.alice.post(url(world, "/new/files"), data=form).text

    assert words in page
    assert SECRET.search(page) is None
    assert f'value="{form["name"]}"' in page
    with reading() as session:
        assert session.scalars(sa.select(BackupTarget)).all() == []


def test_a_drill_place_is_given_kept_and_taken_away_on_the_page(
    world: World, tmp_path: Path
) -> None:
    target = target_of(world, tmp_path)
    page, place = url(world, f"/targets/{target}"), str(tmp_path / "drill")
    form = {"name": "papers", "schedule": "daily", "retention": "staging"}
    for typed, kept in ((place, place), ("", place), ("-", None)):
        answer = world.alice.post(f"{page}/change", data=form | {"drill_place": typed})

        assert answer.status_code == 303, answer.text
        assert stored_target().drill_place == (kept and {"path": kept})
        for each in (page, f"{page}/change"):
            assert (place in world.alice.get(each).text) is (kept is not None)
    refused = world.alice.post(f"{page}/change", data=form | {"drill_place": "/etc"})
    assert "MAINSTAY_BACKUP_FOLDERS" in refused.text
    assert stored_target().drill_place is None


def test_a_change_leaves_the_place_as_it_is_when_that_is_left_empty(
    world: World, tmp_path: Path
) -> None:
    target = target_of(world, tmp_path)
    page = world.alice.get(url(world, f"/targets/{target}/change")).text
    assert RECIPIENT in page

    answer = world.alice.post(
        url(world, f"/targets/{target}/change"),
        data={
            "name": "papers",
            "config": "",
            "schedule": "own",
            "cron": "30 4 * * 1",
            "time_zone": "Europe/Berlin",
            "retention": "own",
            "count": "12",
            "enabled": "on",
            "recipients": RECIPIENT,
        },
    )

    assert answer.status_code == 303
    found = stored_target()
    assert (found.name, found.cron, found.keep_count) == ("papers", "30 4 * * 1", 12)
    assert found.config["path"].endswith("documents")
    assert found.is_enabled is True
    assert forms.schedule_preset_of(found) == "own"
    assert forms.retention_of(found) == "own"


def test_a_target_tells_what_is_proven_what_would_be_lost_and_which_days_were_bad(
    world: World, tmp_path: Path
) -> None:
    target = target_of(world, tmp_path)
    ids = [backup_of(target, at=utc_now() - n * DAY, is_verified=n == 1) for n in range(1, 6)]
    become(ids[0], BackupStatus.FAILED, reason="The disk is full.")
    a_drill(ids[1])

    page = world.bob.get(url(world, f"/targets/{target}")).text
    overview = world.bob.get(url(world)).text

    assert "1 day not well" in page
    assert "The disk is full." in page
    for told in ("2 s", "measured by a drill", "5 backups"):
        assert told in page, told
    assert "2 d" in overview, "the newest that is there began two days ago"
    assert "The last 5 runs of documents: 4 stored, 1 failed" in overview
    only = world.bob.get(url(world, f"/targets/{target}?status=failed")).text
    assert ids[0] in only
    assert ids[1] not in only.partition('id="backups"')[2]
    assert (
        "None is cancelled" in world.bob.get(url(world, f"/targets/{target}?status=cancelled")).text
    )


def test_a_backup_under_way_says_how_far_it_is_and_is_cancelled(
    world: World, tmp_path: Path
) -> None:
    target = target_of(world, tmp_path)
    backup_of(target, at=utc_now() - DAY, plain_bytes=4 << 20)
    started = world.alice.post(url(world, f"/targets/{target}/run"))
    assert started.status_code == 303
    path = started.headers["location"].partition("?")[0]
    backup = path.rpartition("/")[2]
    assert "Waits for a worker" in world.bob.get(path).text
    become(
        backup,
        BackupStatus.RUNNING,
        started_at=utc_now(),
        progress_at=utc_now(),
        plain_bytes=1 << 20,
        bytes_per_second=float(1 << 20),
        seconds_left=3.0,
    )

    part = world.bob.get(f"{path}/progress")
    cancelled = world.alice.post(f"{path}/cancel")

    for told in ("1 MB of about 4 MB", "1 MB/s", "left", 'value="25.0"'):
        assert told in part.text, told
    assert "HX-Refresh" not in part.headers
    assert cancelled.status_code == 303
    assert "Being stopped" in world.bob.get(path).text
    become(backup, BackupStatus.CANCELLED, finished_at=utc_now(), reason="It was cancelled.")
    assert world.bob.get(f"{path}/progress").headers["HX-Refresh"] == "true"
    assert "No copy was stored" in world.bob.get(path).text


def test_a_backup_tells_its_copies_and_drills_table_by_table(world: World, tmp_path: Path) -> None:
    backup = backup_of(target_of(world, tmp_path))
    difference = {"name": "public.orders", "what": "rows", "rows": [1200, 1199]}
    a_drill(backup, DrillStatus.FAILED, differences=[difference], reason="One table differs.")

    page = world.bob.get(url(world, f"/{backup}")).text

    for told in ("This server", "One table differs.", "public.orders", "1,200", "1,199"):
        assert told in page, told
    assert "Restore" not in re.sub(r"Restore drills?|Restored?", "", page.partition("<main")[2])


def test_a_backup_whose_manifest_is_not_ours_still_has_its_page(
    world: World, tmp_path: Path
) -> None:
    backup = backup_of(target_of(world, tmp_path))
    become(backup, BackupStatus.SUCCEEDED, manifest=packed(b"{}"))

    page = world.bob.get(url(world, f"/{backup}"))
    sheet = world.bob.get(f"/api/backups/{backup}/recovery-sheet")

    assert page.status_code == 200
    assert (sheet.status_code, sheet.json()["code"]) == (409, "manifest-not-ours")
    assert "MAINSTAY_SECRET_KEY" in sheet.json()["detail"]


def test_a_backup_is_removed_only_when_its_name_was_typed(world: World, tmp_path: Path) -> None:
    backup = backup_of(target_of(world, tmp_path))
    path = url(world, f"/{backup}")

    world.alice.post(f"{path}/remove", data={"confirm": "something"})
    with reading() as session:
        assert session.get_one(Backup, backup).removed_at is None
    world.alice.post(f"{path}/keep", data={"kept": "yes"})
    assert "Leave to retention" in world.alice.get(path).text
    world.alice.post(f"{path}/keep", data={"kept": "no"})
    world.alice.post(f"{path}/remove", data={"confirm": "documents"})
    with reading() as session:
        assert session.get_one(Backup, backup).removed_at is not None


def test_a_target_is_removed_only_when_its_name_was_typed(world: World, tmp_path: Path) -> None:
    target = target_of(world, tmp_path)
    path = url(world, f"/targets/{target}/remove")

    world.alice.post(path, data={"confirm": ""})
    assert stored_target().id == target
    gone = world.alice.post(path, data={"confirm": "documents"})

    assert gone.headers["location"].startswith(url(world))
    with reading() as session:
        assert session.scalars(sa.select(BackupTarget)).all() == []


def test_the_preview_simulates_a_year_or_tells_what_would_go(world: World, tmp_path: Path) -> None:
    asked = "/retention-preview?schedule=daily&retention=generations"
    simulated = world.alice.get(url(world, asked)).text
    assert re.search(r"After a year \d+ backups of 36[56] would be there", simulated)
    target = target_of(world, tmp_path)
    for n in range(6):
        backup_of(target, at=utc_now() - n * DAY)

    real = world.alice.get(
        url(world, f"/retention-preview?target={target}&retention=own&count=2")
    ).text
    strange = world.alice.get(url(world, "/retention-preview?retention=own&days=x")).text

    nowhere = world.alice.get(
        url(world, "/retention-preview?retention=production&time_zone=Mars/Olympus")
    ).text

    assert "4 would be removed" in real
    assert "There is no time zone &#39;Mars/Olympus&#39;" in nowhere
    assert "must be a whole number" in strange


def test_a_try_on_the_page_says_what_answers(world: World, tmp_path: Path) -> None:
    allow(tmp_path)
    path = url(world, "/try/files")

    assert "It answers" in world.alice.post(path, data={"config": str(tmp_path)}).text
    refused = world.alice.post(path, data={"config": ""}).text
    assert "The folder is empty" in refused
    assert "flash-text" in refused
    assert "must be one of" in world.alice.post(url(world, "/try/x"), data={"config": "{}"}).text


def test_destinations_are_made_tried_and_removed_on_their_page(
    world: World, tmp_path: Path
) -> None:
    allow(tmp_path)
    (tmp_path / "copies").mkdir()
    path = url(world, "/destinations")
    form = {"name": "disk", "kind": "folder", "url": f"file://{tmp_path}/copies"}

    world.alice.post(path, data=form)
    world.alice.post(path, data=form | {"kind": "cloud"})
    with reading() as session:
        (made,) = session.scalars(sa.select(BackupDestination)).all()
    world.alice.post(f"{path}/{made.id}/check")
    page = world.bob.get(path).text
    assert "Takes copies" in page
    world.alice.post(f"{path}/{made.id}/change", data={"name": "mounted", "url": ""})
    assert "mounted" in world.bob.get(path).text
    (tmp_path / "copies").rmdir()
    (tmp_path / "copies").write_text("in the way")
    world.alice.post(f"{path}/{made.id}/check")
    assert "Not usable" in world.bob.get(path).text
    world.alice.post(f"{path}/{made.id}/remove")
    assert "Copies stay on this server" in world.bob.get(path).text


def test_the_overview_tells_when_the_weakest_target_was_proven(
    world: World, tmp_path: Path
) -> None:
    target = target_of(world, tmp_path)
    assert "Backups proven" in world.bob.get("/dashboard").text
    assert "never" in world.bob.get("/dashboard").text
    backup_of(target, at=utc_now() - 3 * DAY, is_verified=True)
    assert "3 d ago" in world.bob.get("/dashboard").text
    with transaction() as session:
        session.get_one(BackupTarget, target).troubles = {"run": "2026-01-01T00:00:00.000Z"}
    assert "1 of 1 not well" in world.bob.get("/dashboard").text
    assert "quick tries are used up" in world.bob.get(url(world)).text


def test_what_is_no_json_is_refused_for_engines_without_a_field_of_their_own() -> None:
    assert forms.config_of("other", {"config": '{"tables": ["orders"]}'}) == {"tables": ["orders"]}  # type: ignore[arg-type] # a form is a mapping
    with pytest.raises(Invalid, match="must be a JSON object"):
        forms.config_of("other", {"config": "orders"})  # type: ignore[arg-type] # the same


def test_the_way_to_a_restore_looks_first_and_says_why_it_cannot(
    world: World, tmp_path: Path
) -> None:
    backup = backup_of(target_of(world, tmp_path))
    path = url(world, f"/{backup}/restore")

    wizard = world.alice.get(path).text
    own = world.alice.post(f"{path}/look", data={"where": "own"}).text
    empty = world.alice.post(f"{path}/look", data={"where": "elsewhere", "config": ""}).text
    refused = world.alice.post(path, data={"where": "own", "safety": "on"})

    for told in ("1. Where to", "Never proven", "Back it up first", RECIPIENT):
        assert told in wizard, told
    assert "no manifest" in own
    assert "The folder is empty" in empty
    assert refused.status_code == 303
    assert "mainstay_flash" in refused.headers["set-cookie"]
    assert world.bob.get(path).status_code == 403
    assert world.charlie.get(path).status_code in (403, 404)


def test_a_drill_that_waits_is_seen_and_the_page_follows_it(world: World, tmp_path: Path) -> None:
    backup = backup_of(target_of(world, tmp_path))
    path = url(world, f"/{backup}")

    world.alice.post(f"{path}/drill")
    waiting = world.bob.get(path).text
    part = world.bob.get(f"{path}/drills")

    assert "live-drills" in waiting
    assert "Queued" in part.text
    assert "HX-Refresh" not in part.headers
    with transaction() as session:
        for drill in session.scalars(sa.select(BackupDrill)):
            drill.status = DrillStatus.PASSED
    assert world.bob.get(f"{path}/drills").headers["HX-Refresh"] == "true"
    assert "from outside only" in world.bob.get(path).text
    assert world.alice.post(f"{path}/verify").status_code == 303


def test_an_export_asks_for_tables_too(world: World, tmp_path: Path) -> None:
    allow(tmp_path)
    page = world.alice.get(url(world, "/new?engine=export")).text
    assert "Tables" in page
    form = {
        "instance_id": world.instance.id,
        "name": "people",
        "config": f"sqlite:///{tmp_path}/app.db",
        "tables": "people, orders",
        "schedule": "weekly",
        "retention": "staging",
        "new_key": "shown",
    }

    assert world.alice.post(url(world, "/new/export"), data=form).status_code == 200

    assert stored_target().config["tables"] == ["people", "orders"]


def test_another_key_is_made_and_shown_once_and_the_kept_one_is_forgotten(
    world: World, tmp_path: Path
) -> None:
    target = target_of(world, tmp_path)
    path = url(world, f"/targets/{target}")

    page = world.alice.post(f"{path}/new-key", data={"kept": "on"}).text

    (secret,) = set(SECRET.findall(page))
    row = stored_target()
    assert (row.recipients[0], len(row.recipients), row.drill_key) == (RECIPIENT, 2, secret)
    change = world.alice.get(f"{path}/change").text
    assert secret not in change
    assert "Forget the key that is kept here" in change
    form = {"name": "documents", "schedule": "daily", "retention": "production"}
    world.alice.post(f"{path}/change", data=form | {"forget_key": "on"})
    assert stored_target().drill_key == ""
    world.alice.post(f"{path}/change", data=form | {"drill_key": secret})
    assert stored_target().drill_key == secret
    assert world.bob.post(f"{path}/new-key").status_code == 403


def test_targets_are_found_by_name_and_place(world: World, tmp_path: Path) -> None:
    target_of(world, tmp_path)

    assert "documents" in world.bob.get(url(world, "?q=DOCU")).text.partition("<main")[2]
    assert "Nothing matches" in world.bob.get(url(world, "?q=nobody")).text


def test_a_cluster_goes_to_a_new_folder_as_of_a_time() -> None:
    sent = FormData({"config": "/srv/restored 2026-11-26T01:02:03Z"})
    assert forms.config_of("postgresql_cluster", sent) == {
        "path": "/srv/restored",
        "toTime": "2026-11-26T01:02:03Z",
    }
    server = FormData({"config": "postgresql://u@h/d"})
    assert forms.config_of("postgresql_cluster", server) == {"url": "postgresql://u@h/d"}
