"""A drill proves that a backup restores, and names whatever happened to it; with real servers."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from mainstay_server.areas.backups.models import (
    Backup,
    BackupCopy,
    BackupDrill,
    BackupTarget,
    DrillStatus,
)
from mainstay_server.areas.backups.service import drilling, drills, folders, holding
from mainstay_server.areas.backups.service.verifying import CHUNK_BYTES, Fault
from mainstay_server.areas.backups.settings import LONGEST_BASE, BackupSettings
from mainstay_server.contracts.backups import BackupFailed, BackupRecovered
from mainstay_server.kernel.copies.crypts import header_of
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import Event, said_events
from pydantic import ValidationError
from tests.waiting import eventually

from .copies import trusting
from .standing import DAY, NOON, way_out
from .taking import (
    ALL_ENGINES,
    MARK,
    World,
    a_source,
    a_world,
    allow_work,
    another_worker,
    drilled,
    take,
    the_backup,
    work,
)
from .worlds import with_flipped_bit

__all__ = ["trusting", "way_out", "work"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("way_out", "database", "shared_memory", "trusting"),
]


def said(kind: type[Event]) -> list[Event]:
    with reading() as session:
        return [event for _, event in said_events(session) if isinstance(event, kind)]


def fault_of(backup_id: str) -> str:
    with reading() as session:
        return session.query(BackupCopy).filter_by(backup_id=backup_id).one().fault


@pytest.mark.parametrize("kind", ALL_ENGINES)
def test_a_backup_is_restored_compared_and_proven(
    kind: str, tmp_path: Path, work: Path, request: pytest.FixtureRequest
) -> None:
    allow_work(tmp_path, work)
    with a_source(kind, tmp_path, request) as config:
        world = a_world(kind, config, tmp_path)
        before = os.umask(0o077)  # as servers set it
        try:
            backup = take(world)
            drill = drilled(backup)
        finally:
            os.umask(before)

        assert (drill.status, drill.reason, drill.differences) == (DrillStatus.PASSED, "", [])
        assert drill.is_opened
        assert drill.tables >= 1
        assert drill.rows >= 20
        assert drill.restore_seconds is not None
        assert drill.restore_seconds > 0
        assert drill.compare_seconds is not None
        assert the_backup(backup).verified_at is not None
        assert (fault_of(backup), list(work.iterdir())) == ("", [])


@pytest.mark.parametrize("kind", ["postgresql", "mariadb", "sqlite", "files", "export"])
def test_one_flipped_bit_in_the_dump_is_named_though_all_of_the_copy_is_whole(
    kind: str, tmp_path: Path, work: Path, request: pytest.FixtureRequest
) -> None:
    allow_work(tmp_path, work)
    with a_source(kind, tmp_path, request) as config:
        world = a_world(kind, config, tmp_path)
        good = take(world)
        assert drilled(good).status == DrillStatus.PASSED
        bad = take(world, at=NOON + DAY, turn=lambda dump: with_flipped_bit(dump, MARK))

        drill = drilled(bad)

        name = {"postgresql": "public.people", "files": "1201.txt"}.get(kind, "people")
        assert (drill.status, drill.reason) == (
            DrillStatus.FAILED,
            f"What came back is not what was dumped: {name} has other content.",
        )
        assert [(each["name"], each["what"]) for each in drill.differences] == [(name, "content")]
        assert the_backup(bad).verified_at is None
        assert the_backup(good).verified_at is not None
        (event,) = said(BackupFailed)
        assert isinstance(event, BackupFailed)
        assert (event.what, event.backup_id) == ("drill", bad)
        assert f"{name} has other content" in event.reason

        assert drilled(good).status == DrillStatus.PASSED
        assert len(said(BackupRecovered)) == 1


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def cut_at_a_border(path: Path) -> None:
    content = path.read_bytes()
    header = header_of(content)
    assert header is not None
    chunks = max(0, (len(content) - header.size_bytes - 1) // CHUNK_BYTES)
    path.write_bytes(content[: header.size_bytes + chunks * CHUNK_BYTES])


def edit(path: Path) -> None:
    value = json.loads(path.read_bytes())
    value["fingerprints"] = []
    path.write_text(json.dumps(value))


def swap(one: Path, other: Path) -> None:
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


SHAPES: dict[str, tuple[Callable[[World, str, str], object], Fault, str]] = {
    "flipped": (lambda w, b, _: flip(w.copy_of(b)), Fault.CHANGED, "at least one bit changed"),
    "cut": (lambda w, b, _: cut(w.copy_of(b)), Fault.CUT, "1 of "),
    "border": (
        lambda w, b, _: cut_at_a_border(w.copy_of(b)),
        Fault.CUT,
        "at the border of a chunk",
    ),
    "gone": (lambda w, b, _: w.copy_of(b).unlink(), Fault.MISSING, "There is no "),
    "swapped": (
        lambda w, b, other: swap(w.copy_of(b), w.copy_of(other)),
        Fault.SWAPPED,
        "that of another backup, {other}",
    ),
    "edited": (lambda w, b, _: edit(w.manifest_of(b)), Fault.MANIFEST_EDITED, "It was edited"),
    "manifests": (
        lambda w, b, other: swap(w.manifest_of(b), w.manifest_of(other)),
        Fault.MANIFEST_SWAPPED,
        "that of another backup, {other}",
    ),
    "manifest gone": (
        lambda w, b, _: w.manifest_of(b).unlink(),
        Fault.MANIFEST_MISSING,
        "There is no ",
    ),
}


@pytest.mark.parametrize("key", ["with a key", "without"])
@pytest.mark.parametrize("kind", ALL_ENGINES)
def test_whatever_happens_to_a_copy_is_named_and_no_other_backup_is_touched(
    kind: str, key: str, tmp_path: Path, work: Path, request: pytest.FixtureRequest
) -> None:
    allow_work(tmp_path, work)
    with a_source(kind, tmp_path, request) as config:
        said_of_key = {} if key == "with a key" else {"drill_key": ""}
        world = a_world(kind, config, tmp_path, **said_of_key)
        backup, other = take(world), take(world, at=NOON + DAY)
    whole = {each: each.read_bytes() for each in world.place.rglob("*") if each.is_file()}
    for name, (damage, fault, words) in SHAPES.items():
        damage(world, backup, other)

        drill = drilled(backup)

        assert drill.status == DrillStatus.FAILED, name
        assert words.format(other=other) in drill.reason, name
        assert fault_of(backup) == fault, name
        (*_, event) = said(BackupFailed)
        assert isinstance(event, BackupFailed)
        what = "drill" if key == "with a key" else "verification"
        assert (event.backup_id, event.what) == (backup, what), name
        assert drill.reason in event.reason, name
        assert event.reason.endswith("It was read from disk."), name
        assert fault_of(other) == "", name
        if name not in {"swapped", "manifests"}:
            theirs = {each for each in whole if other in each.name}
            assert {each: each.read_bytes() for each in theirs} == {
                each: whole[each] for each in theirs
            }, name
        for path, content in whole.items():
            path.write_bytes(content)
        assert list(work.iterdir()) == [], name
    drill = drilled(backup)
    assert (drill.status, drill.is_opened) == (DrillStatus.PASSED, key == "with a key")
    assert fault_of(backup) == ""
    assert len(said(BackupRecovered)) == 1


def test_a_backup_is_proven_no_longer_once_a_drill_found_its_only_copy_gone(
    tmp_path: Path, work: Path, request: pytest.FixtureRequest
) -> None:
    allow_work(tmp_path, work)
    with a_source("files", tmp_path, request) as config:
        world = a_world("files", config, tmp_path)
        backup = take(world)
    assert drilled(backup).status == DrillStatus.PASSED
    assert the_backup(backup).verified_at is not None

    world.copy_of(backup).unlink()

    assert drilled(backup).status == DrillStatus.FAILED
    assert the_backup(backup).verified_at is None


def test_without_a_key_it_is_looked_at_from_outside_and_that_is_said(
    tmp_path: Path, work: Path, request: pytest.FixtureRequest
) -> None:
    allow_work(tmp_path, work)
    with a_source("sqlite", tmp_path, request) as config:
        world = a_world("sqlite", config, tmp_path, drill_key="")
        backup = take(world)

    drill = drilled(backup)

    assert (drill.status, drill.is_opened) == (DrillStatus.PASSED, False)
    assert drill.reason == drilling.NOT_OPENED
    assert the_backup(backup).verified_at is None


def test_what_a_drill_found_is_not_over_because_the_key_was_taken_away(
    tmp_path: Path, work: Path, request: pytest.FixtureRequest
) -> None:
    allow_work(tmp_path, work)
    with a_source("sqlite", tmp_path, request) as config:
        world = a_world("sqlite", config, tmp_path)
        bad = take(world, turn=lambda dump: with_flipped_bit(dump, MARK))
    assert drilled(bad).status == DrillStatus.FAILED
    with transaction() as session:
        session.get_one(BackupTarget, world.target_id).drill_key = ""

    drill = drilled(bad)

    assert (drill.status, drill.is_opened) == (DrillStatus.PASSED, False)
    assert said(BackupRecovered) == []


def test_a_wrong_key_and_a_place_that_is_away_are_named(
    tmp_path: Path, work: Path, request: pytest.FixtureRequest
) -> None:
    allow_work(tmp_path, work)
    with a_source("sqlite", tmp_path, request) as config:
        world = a_world("sqlite", config, tmp_path)
        backup = take(world)
    with transaction() as session:
        stranger = "AGE-SECRET-KEY-1" + "Q" * 58
        session.get_one(BackupTarget, world.target_id).drill_key = stranger

    drill = drilled(backup)
    assert drill.status == DrillStatus.FAILED
    assert drill.reason != ""


def killed_in_the_middle(folder: Path, work: Path, program: str) -> list[psutil.Process]:
    """Let another process take the drill, and kill it once the program runs; its descendants."""
    worker = another_worker(folder, work)
    process = psutil.Process(worker.pid)

    def runs() -> bool:
        assert worker.poll() is None, "it ended before it could be killed"
        with suppress(psutil.NoSuchProcess):  # one that ends while it is looked at
            return program in {each.name() for each in process.children(recursive=True)}
        return False

    eventually(runs)
    children = process.children(recursive=True)
    worker.kill()
    worker.wait()
    return children


@pytest.mark.parametrize(
    ("kind", "program"),
    [("postgresql", "initdb"), ("postgresql", "postgres"), ("mariadb", "mariadbd")],
)
def test_a_killed_drill_is_begun_again_once_and_nothing_of_it_is_left(
    kind: str, program: str, tmp_path: Path, work: Path, request: pytest.FixtureRequest
) -> None:
    allow_work(tmp_path, work)
    with a_source(kind, tmp_path, request) as config:
        world = a_world(kind, config, tmp_path)
        backup = take(world)
    with transaction() as session:
        asked = drills.ask(session, session.get_one(Backup, backup), now=NOON)
    children = killed_in_the_middle(tmp_path, work, program)
    assert len(list(work.iterdir())) == 1, "it was in the middle"

    assert drilling.run_next(now=NOON) == asked.id

    with reading() as session:
        drill = session.get_one(BackupDrill, asked.id)
    assert (drill.status, drill.fence) == (DrillStatus.PASSED, 2)
    assert list(work.iterdir()) == []
    alive = [each for each in children if each.is_running()]
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []


def test_a_drill_that_is_killed_twice_has_failed_and_says_so(
    tmp_path: Path, work: Path, request: pytest.FixtureRequest
) -> None:
    allow_work(tmp_path, work)
    with a_source("postgresql", tmp_path, request) as config:
        world = a_world("postgresql", config, tmp_path)
        backup = take(world)
    with transaction() as session:
        asked = drills.ask(session, session.get_one(Backup, backup), now=NOON)
    for _ in range(2):
        killed_in_the_middle(tmp_path, work, "initdb")

    assert drilling.run_next(now=NOON) is None

    with reading() as session:
        drill = session.get_one(BackupDrill, asked.id)
    assert (drill.status, drill.reason, drill.finished_at) == (
        DrillStatus.FAILED,
        drilling.DIED,
        NOON,
    )
    (event,) = said(BackupFailed)
    assert isinstance(event, BackupFailed)
    assert event.reason == drilling.DIED
    assert list(work.iterdir()) == []


def test_a_worker_whose_lease_ran_out_changes_nothing_any_more(
    tmp_path: Path, work: Path, request: pytest.FixtureRequest
) -> None:
    allow_work(tmp_path, work)
    with a_source("sqlite", tmp_path, request) as config:
        world = a_world("sqlite", config, tmp_path)
        backup = take(world)
    with transaction() as session:
        drills.ask(session, session.get_one(Backup, backup), now=NOON)
        slow = holding.claim(session, BackupDrill, now=NOON)
    assert slow is not None
    later = NOON + timedelta(hours=1)

    assert drilling.run_next(now=later) == slow.id

    with transaction() as session, pytest.raises(holding.TakenOver):
        holding.end(session, slow, {"status": DrillStatus.FAILED}, now=later)
    with reading() as session:
        assert session.get_one(BackupDrill, slow.id).status == DrillStatus.PASSED


def test_of_one_target_one_drill_at_a_time_runs(
    tmp_path: Path, work: Path, request: pytest.FixtureRequest
) -> None:
    allow_work(tmp_path, work)
    with a_source("sqlite", tmp_path, request) as config:
        world = a_world("sqlite", config, tmp_path)
        backups = [take(world), take(world, at=NOON + DAY)]
    with transaction() as session:
        first, second = (
            drills.ask(session, session.get_one(Backup, each), asked_by="alice", now=NOON)
            for each in backups
        )
        running = holding.claim(session, BackupDrill, now=NOON)
    assert running is not None
    assert running.id == first.id

    assert drilling.run_next(now=NOON) is None
    with transaction() as session:
        holding.end(session, running, {"status": DrillStatus.PASSED}, now=NOON)
    assert drilling.run_next(now=NOON) == second.id


def test_folders_of_those_who_live_are_left_alone(tmp_path: Path, work: Path) -> None:
    allow_work(tmp_path, work)
    with folders.work_folder() as ours:
        assert folders.sweep() == []
        assert ours.exists()
    assert list(work.iterdir()) == []


def test_a_scratch_server_starts_in_the_deepest_folder_that_may_be_named(
    tmp_path: Path, work: Path, request: pytest.FixtureRequest
) -> None:
    deep = work / ("d" * (LONGEST_BASE - len(str(work)) - 1))
    deep.mkdir()
    deep.chmod(0o711)
    allow_work(tmp_path, deep)
    with a_source("postgresql", tmp_path, request) as config:
        drill = drilled(take(a_world("postgresql", config, tmp_path)))

    assert (drill.status, drill.reason) == (DrillStatus.PASSED, "")
    deep.rmdir()


def test_a_folder_whose_sockets_would_be_too_long_is_refused_at_start() -> None:
    with pytest.raises(ValidationError, match="at most 45 characters"):
        BackupSettings(backup_work_folder="/" + "d" * LONGEST_BASE)
