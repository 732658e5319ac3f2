"""The API: what Alice may, what Bob reads, what nobody is told, and what Charlie never sees."""

from pathlib import Path

import sqlalchemy as sa
from mainstay_server.areas.backups.models import BackupCopy, BackupStatus, DrillStatus
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import transaction
from tests.world import World

from .seen import DAY, a_drill, backup_of, become, target_of, world
from .standing import RECIPIENT
from .worlds import allow

__all__ = ["world"]

PASSWORD = "not-for-any-eye"
POSTGRES = {"url": f"postgresql://reader:{PASSWORD}@127.0.0.1:9/orders"}


def targets_path(world: World) -> str:
    return f"/api/instances/{world.instance.id}/backup-targets"


def destinations_path(world: World) -> str:
    return f"/api/projects/{world.project}/backup-destinations"


def test_a_target_is_made_with_a_key_that_is_told_once_and_no_secret_ever_again(
    world: World,
) -> None:
    wanted = {"name": "orders", "engine": "postgresql", "config": POSTGRES, "newKey": "shown"}
    made = world.alice.post(targets_path(world), json=wanted)

    assert made.status_code == 201, made.text
    told = made.json()
    assert told["secretKey"].startswith("AGE-SECRET-KEY-1")
    assert told["shown"] == "reader@127.0.0.1:9/orders"
    assert told["hasDrillKey"] is False
    assert told["schedule"] == {"intervalHours": 6, "cron": "", "timeZone": "UTC"}
    assert told["retention"]["days"] == 30
    path = f"{targets_path(world)}/{told['id']}"
    for answer in (world.bob.get(targets_path(world)), world.bob.get(path)):
        assert PASSWORD not in answer.text
        assert told["secretKey"] not in answer.text
    assert PASSWORD not in made.text
    (listed,) = world.bob.get(targets_path(world)).json()["backupTargets"]
    assert listed == {name: value for name, value in told.items() if name != "secretKey"}


def test_what_makes_no_sense_is_refused_with_the_next_step(world: World) -> None:
    good = {"name": "orders", "engine": "postgresql", "config": POSTGRES, "newKey": "shown"}
    for change, words in (
        ({"engine": "oracle"}, "must be one of"),
        ({"newKey": "none"}, "nobody could open"),
        ({"recipients": ["age1nonsense"]}, "is no public key of age"),
        ({"config": {"url": "mysql://x"}}, "must be postgresql://"),
        ({"schedule": {"cron": "every day"}}, "five fields"),
        ({"schedule": {"intervalHours": 6, "cron": "0 2 * * *"}}, "either"),
        ({"schedule": {"cron": "0 2 * * *", "timeZone": "Moon/Crater"}}, "no time zone"),
        ({"destinationIds": ["0" * 36]}, "not one of this project"),
    ):
        answer = world.alice.post(targets_path(world), json=good | change)
        assert answer.status_code in (400, 404), answer.text
        assert words in answer.json()["detail"]
    assert world.bob.get(targets_path(world)).json()["backupTargets"] == []


def test_a_target_is_changed_and_removed(world: World, tmp_path: Path) -> None:
    path = f"{targets_path(world)}/{target_of(world, tmp_path)}"

    changed = world.alice.patch(
        path,
        json={
            "name": "letters",
            "schedule": {"cron": "0 2 * * *", "timeZone": "Europe/Berlin"},
            "retention": {"daily": 7, "weekly": 4},
            "drills": "weekly",
        },
    ).json()

    assert (changed["name"], changed["drills"]) == ("letters", "weekly")
    assert changed["schedule"]["timeZone"] == "Europe/Berlin"
    assert changed["retention"] == {
        **dict.fromkeys(("days", "count", "monthly", "yearly"), 0),
        "daily": 7,
        "weekly": 4,
    }
    assert world.alice.delete(path).status_code == 204
    assert world.alice.get(path).status_code == 404


def test_a_drill_place_is_given_and_told_without_its_secrets(world: World) -> None:
    place = {"url": f"postgresql://drill:{PASSWORD}@127.0.0.1:9/drills"}
    wanted = {"name": "orders", "engine": "postgresql", "config": POSTGRES, "newKey": "kept"}
    made = world.alice.post(targets_path(world), json=wanted | {"drillPlace": place})
    assert made.status_code == 201, made.text
    path = f"{targets_path(world)}/{made.json()['id']}"

    same = world.alice.patch(path, json={"drillPlace": POSTGRES})

    assert (same.status_code, same.json()["code"]) == (409, "drill-place-taken")
    told = world.bob.get(path)
    assert told.json()["drillPlaceShown"] == "drill@127.0.0.1:9/drills"
    assert PASSWORD not in told.text + made.text
    assert world.alice.patch(path, json={"drillPlace": {}}).json()["drillPlaceShown"] == ""


def test_a_try_says_what_answers_and_what_does_not(world: World, tmp_path: Path) -> None:
    allow(tmp_path)
    folder = {"engine": "files", "config": {"path": str(tmp_path)}}
    nobody = {"engine": "postgresql", "config": POSTGRES}
    path = f"{targets_path(world)}/check"

    there = world.alice.post(path, json=folder).json()
    away = world.alice.post(path, json=nobody)
    strange = world.alice.post(path, json={"engine": "files", "config": {"path": "/etc"}})

    assert (there["shown"], there["tools"], there["problem"]) == (str(tmp_path), "pax", "")
    assert "cannot be reached" in away.json()["problem"]
    assert PASSWORD not in away.text
    assert strange.status_code == 400
    assert "MAINSTAY_BACKUP_FOLDERS" in strange.json()["detail"]
    kept = f"{targets_path(world)}/{target_of(world, tmp_path)}/check"
    assert world.alice.post(kept).json()["problem"] == ""


def test_a_destination_is_made_tried_renamed_and_removed(world: World, tmp_path: Path) -> None:
    allow(tmp_path)
    url = f"file://{tmp_path}/copies"
    (tmp_path / "copies").mkdir()
    body = {"name": "disk", "kind": "folder", "url": url}
    made = world.alice.post(destinations_path(world), json=body).json()
    path = f"{destinations_path(world)}/{made['id']}"

    tried = world.alice.post(f"{path}/check").json()
    renamed = world.alice.patch(path, json={"name": "mounted disk"}).json()

    assert (tried["problem"], tried["copies"]) == ("", 0)
    assert tried["checkedAt"] is not None
    assert renamed["name"] == "mounted disk"
    listed = world.bob.get(destinations_path(world)).json()["backupDestinations"]
    assert [each["name"] for each in listed] == ["mounted disk"]
    assert world.alice.delete(path).status_code == 204
    bucket = "s3://b-1/p?access_key_id=me&secret_access_key=" + PASSWORD
    sealed = world.alice.post(
        destinations_path(world), json={"name": "bucket", "kind": "s3", "url": bucket}
    )
    assert sealed.status_code == 201, sealed.text
    assert PASSWORD not in sealed.text


def test_a_backup_is_asked_for_followed_and_cancelled(world: World, tmp_path: Path) -> None:
    target = target_of(world, tmp_path)
    made = world.alice.post(f"/api/backup-targets/{target}/backups")
    assert made.status_code == 201, made.text
    path = f"/api/backups/{made.json()['id']}"
    again = world.alice.post(f"/api/backup-targets/{target}/backups").json()
    assert again["id"] == made.json()["id"], "one that waits is the one that is wanted"
    become(
        made.json()["id"],
        BackupStatus.RUNNING,
        started_at=utc_now(),
        progress_at=utc_now(),
        plain_bytes=1 << 20,
        sealed_bytes=1 << 18,
        bytes_per_second=1000.0,
        seconds_left=7.0,
    )

    running = world.bob.get(path).json()
    stopping = world.alice.post(f"{path}/cancel").json()

    assert (running["status"], running["kind"], running["targetName"]) == (
        "running",
        "manual",
        "documents",
    )
    assert running["progress"]["plainBytes"] == 1 << 20
    assert running["progress"]["secondsLeft"] == 7.0
    assert stopping["cancelAskedAt"] is not None


def test_backups_come_in_pages_and_by_status(world: World, tmp_path: Path) -> None:
    target = target_of(world, tmp_path)
    ids = [backup_of(target, at=utc_now() - n * DAY) for n in range(5)]
    become(ids[1], BackupStatus.FAILED, reason="The disk is full.")
    path = f"/api/backup-targets/{target}/backups"

    first = world.bob.get(f"{path}?limit=3").json()
    second = world.bob.get(f"{path}?limit=3&cursor={first['nextCursor']}").json()

    assert [each["id"] for each in first["backups"] + second["backups"]] == ids
    assert second["nextCursor"] is None
    (failed,) = world.bob.get(f"{path}?status=failed").json()["backups"]
    assert failed["reason"] == "The disk is full."
    assert world.bob.get(f"{path}?status=fine").status_code == 400
    assert world.bob.get(f"{path}?cursor=strange").status_code == 400
    assert first["backups"][0]["copies"][0]["destinationName"] == "This server"


def test_what_is_kept_for_good_is_out_of_reach_of_everybody(world: World, tmp_path: Path) -> None:
    path = f"/api/backups/{backup_of(target_of(world, tmp_path))}"

    assert world.alice.post(f"{path}/keep", json={"kept": True}).json()["kept"] is True
    refused = world.alice.delete(path)
    assert refused.status_code == 409
    assert "kept for good" in refused.json()["detail"]
    assert world.alice.post(f"{path}/keep", json={"kept": False}).json()["kept"] is False
    assert world.alice.delete(path).status_code == 204
    assert world.bob.get(path).json()["removedAt"] is not None


def test_the_preview_says_what_the_cleanup_then_does(world: World, tmp_path: Path) -> None:
    target = target_of(world, tmp_path, retention={"keep_days": 3})
    ids = [backup_of(target, at=utc_now() - n * DAY) for n in range(6)]
    base = f"/api/backup-targets/{target}"

    preview = world.bob.get(f"{base}/retention").json()["backups"]
    tried = world.bob.get(f"{base}/retention?count=5").json()["backups"]
    done = world.alice.post(f"{base}/cleanup").json()["backups"]

    assert [each["id"] for each in preview if not each["reasons"]] == ids[4:]
    assert [each["id"] for each in tried if not each["reasons"]] == ids[5:]
    assert done == preview
    stored = world.bob.get(f"{base}/backups").json()["backups"]
    assert [each["id"] for each in stored if each["removedAt"] is None] == ids[:4]


def test_a_summary_tells_the_worst(world: World, tmp_path: Path) -> None:
    path = f"/api/instances/{world.instance.id}/backups/summary"
    nothing = world.bob.get(path).json()
    target = target_of(world, tmp_path)
    backup = backup_of(target, at=utc_now() - DAY, is_verified=True)
    a_drill(backup)

    found = world.bob.get(path).json()

    assert (nothing["targets"], nothing["wouldBeLostSeconds"]) == (0, None)
    assert (found["targets"], found["enabled"], found["neverVerified"]) == (1, 0, 0)
    assert found["wouldBeLostSeconds"] >= DAY.total_seconds()
    assert found["restoreSeconds"] == 2.0
    assert (found["storedCount"], found["storedBytes"]) == (1, 1000)
    assert found["lastVerifiedAt"] is not None


def test_bob_reads_and_changes_nothing_and_charlie_sees_nothing(
    world: World, tmp_path: Path
) -> None:
    target = target_of(world, tmp_path)
    backup = backup_of(target)
    for method, path, body in (
        ("POST", targets_path(world), {"name": "x", "engine": "files", "config": {}}),
        ("POST", f"{targets_path(world)}/check", {"engine": "files", "config": {}}),
        ("PATCH", f"{targets_path(world)}/{target}", {"recipients": [RECIPIENT]}),
        ("DELETE", f"{targets_path(world)}/{target}", None),
        ("POST", destinations_path(world), {"name": "x", "kind": "server"}),
    ):
        assert world.bob.request(method, path, json=body).status_code == 403, path
    for method, path in (
        ("POST", f"/api/backup-targets/{target}/backups"),
        ("POST", f"/api/backup-targets/{target}/cleanup"),
        ("POST", f"/api/backups/{backup}/cancel"),
        ("DELETE", f"/api/backups/{backup}"),
    ):
        assert world.bob.request(method, path).status_code == 403, path
        assert world.charlie.request(method, path).status_code in (403, 404), path
    for path in (
        f"/api/backups/{backup}",
        f"/api/backups/{backup}/manifest",
        f"/api/backup-targets/{target}/backups",
        f"{targets_path(world)}/{target}",
        destinations_path(world),
    ):
        assert world.charlie.get(path).status_code in (403, 404), path
        assert "documents" not in world.charlie.get(path).text


def test_a_drill_is_asked_for_and_told_table_by_table(world: World, tmp_path: Path) -> None:
    backup = backup_of(target_of(world, tmp_path))
    path = f"/api/backups/{backup}/drills"
    difference = {"name": "public.orders", "what": "rows", "rows": [1200, 1199]}
    ended = a_drill(backup, DrillStatus.FAILED, differences=[difference], reason="It differs.")

    asked = world.alice.post(path, json={})
    again = world.alice.post(path, json={})

    assert asked.status_code == 201, asked.text
    assert asked.json()["status"] == "queued"
    assert again.json()["id"] == asked.json()["id"], "one that waits is the one that is wanted"
    told = world.bob.get(f"{path}/{ended}").json()
    assert told["differences"] == [
        {"name": "public.orders", "what": "rows", "rowsBefore": 1200, "rowsAfter": 1199}
    ]
    first = world.bob.get(f"{path}?limit=1").json()
    second = world.bob.get(f"{path}?limit=1&cursor={first['nextCursor']}").json()
    assert [each["id"] for each in first["drills"] + second["drills"]] == [
        asked.json()["id"],
        ended,
    ]
    assert world.bob.post(path, json={}).status_code == 403
    assert world.charlie.get(path).status_code == 404


def test_copies_are_checked_again_when_somebody_asks(world: World, tmp_path: Path) -> None:
    backup = backup_of(target_of(world, tmp_path))
    with transaction() as session:
        for copy in session.scalars(sa.select(BackupCopy)):
            copy.checked_at = utc_now()

    asked = world.alice.post(f"/api/backups/{backup}/verify")

    assert [copy["checkedAt"] for copy in asked.json()["copies"]] == [None]
    become(backup, BackupStatus.FAILED)
    with transaction() as session:
        session.execute(sa.delete(BackupCopy))
    assert world.alice.post(f"/api/backups/{backup}/verify").status_code == 409


def test_another_key_is_told_once(world: World, tmp_path: Path) -> None:
    path = f"{targets_path(world)}/{target_of(world, tmp_path)}"

    made = world.alice.post(f"{path}/keys", json={})

    assert made.status_code == 201, made.text
    told = world.bob.get(path)
    assert told.json()["recipients"] == [RECIPIENT, made.json()["recipient"]]
    assert told.json()["hasDrillKey"] is False
    assert made.json()["secretKey"] not in told.text
