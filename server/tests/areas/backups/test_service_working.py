"""Runs end to end over real folders: stored, sealed, checked, retried, cancelled, taken over."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from mainstay_server.areas.backups.models import (
    Backup,
    BackupCopy,
    BackupKind,
    BackupStatus,
    BackupTarget,
    CopyStatus,
)
from mainstay_server.areas.backups.providers.files.packing import Packing
from mainstay_server.areas.backups.service import checking, claims, due, runs, sweeping, targets
from mainstay_server.areas.backups.service.choosing import TargetChoice
from mainstay_server.areas.backups.service.manifests import public_key
from mainstay_server.areas.backups.service.pulses import Pulse
from mainstay_server.areas.backups.service.stored_manifests import read_manifest
from mainstay_server.areas.backups.service.verifying import verify
from mainstay_server.areas.backups.service.working import Workers, make_claimed, make_due
from mainstay_server.contracts.backups import (
    BackupFailed,
    BackupRecovered,
    BackupSucceeded,
    BackupTold,
    BackupTooSmall,
)
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import said_events
from sqlalchemy.orm import Session
from tests.databases import on_both_stores
from tests.waiting import eventually

from .standing import (
    DAY,
    HOUR,
    IDENTITY,
    NOON,
    a_folder,
    a_target,
    an_instance,
    way_out,
)
from .worlds import allow

__all__ = ["way_out"]

pytestmark = pytest.mark.usefixtures("way_out", "database", "shared_memory")
MINUTE = timedelta(minutes=1)


def clock_at(now: datetime) -> Callable[[], datetime]:
    return lambda: now


class Heard:
    """What was said of backups since the last call, in order."""

    def __init__(self) -> None:
        self._after = 0

    def __call__(self) -> list[BackupTold]:
        with reading() as session:
            found = said_events(session, after=self._after)
        self._after = max((position for position, _ in found), default=self._after)
        return [event for _, event in found if isinstance(event, BackupTold)]


@pytest.fixture
def heard() -> Heard:
    return Heard()


def two_places(tmp_path: Path, **said: Any) -> BackupTarget:
    """A folder that goes to the folders `near` and `far`."""
    allow(tmp_path)
    with transaction() as session:
        instance = an_instance(session)
        places = [a_folder(session, instance, tmp_path / name, name) for name in ("near", "far")]
        return a_target(
            session, instance, tmp_path, destinations=[each.id for each in places], **said
        )


def queue(now: datetime = NOON) -> None:
    with transaction() as session:
        due.queue_due(session, now=now)


def newest(session: Session) -> Backup:
    return session.scalars(sa.select(Backup).order_by(Backup.id.desc()).limit(1)).one()


def files(folder: Path) -> set[str]:
    return {each.name for each in folder.rglob("*") if each.is_file()}


def test_a_due_backup_is_stored_everywhere_and_opens_with_the_key_alone(
    tmp_path: Path, heard: Heard
) -> None:
    target = two_places(tmp_path)
    queue()

    make_due(clock=clock_at(NOON))

    with reading() as session:
        backup = newest(session)
        assert (backup.status, backup.reason, backup.step) == (BackupStatus.SUCCEEDED, "", "")
        assert backup.plain_bytes > 0
        assert backup.sealed_bytes > 0
        manifest = read_manifest(session, backup.id)
        assert [each.name for each in manifest.fingerprints] == ["letter.txt"]
        for seen in runs.copies_of(session, [backup.id])[backup.id]:
            verdict = verify(
                destination=seen.destination.url,
                manifest_key=manifest.manifest_key,
                backup_id=backup.id,
                trusted=[public_key()],
                identities=[IDENTITY],
            )
            assert (verdict.fault, verdict.is_opened) == (None, True), verdict.text
    for place in ("near", "far"):
        assert len(files(tmp_path / place)) == 2
    assert [type(each) for each in heard()] == [BackupSucceeded]
    assert target.folder in str(next((tmp_path / "near").rglob("*.age")))


def test_a_turn_is_done_once_however_long_nothing_ran(tmp_path: Path) -> None:
    two_places(tmp_path)
    queue(NOON + 9 * DAY + HOUR)
    queue(NOON + 9 * DAY + HOUR)

    with reading() as session:
        assert session.scalar(sa.select(sa.func.count(Backup.id))) == 1
        target = session.scalars(sa.select(BackupTarget)).one()
        assert target.next_run_at == NOON + 9 * DAY + 6 * HOUR


def test_one_place_that_fails_loses_no_other_and_is_told_until_it_works(
    tmp_path: Path, heard: Heard
) -> None:
    two_places(tmp_path)
    (tmp_path / "far").rmdir()
    (tmp_path / "far").write_text("in the way")
    queue()
    make_due(clock=clock_at(NOON))

    with reading() as session:
        backup = newest(session)
        assert backup.status == BackupStatus.DEGRADED
        copies = {
            seen.destination.name: (seen.copy.status, bool(seen.copy.reason))
            for seen in runs.copies_of(session, [backup.id])[backup.id]
        }
    assert copies == {"near": (CopyStatus.STORED, False), "far": (CopyStatus.FAILED, True)}
    succeeded, failed = heard()
    assert isinstance(succeeded, BackupSucceeded)
    assert isinstance(failed, BackupFailed)
    assert failed.what == "destination"

    (tmp_path / "far").unlink()
    queue(NOON + 6 * HOUR)
    make_due(clock=clock_at(NOON + 6 * HOUR))
    assert [type(each) for each in heard()] == [BackupSucceeded, BackupRecovered]


def test_a_scheduled_run_is_tried_again_soon_and_told_when_no_try_is_left(
    tmp_path: Path, heard: Heard
) -> None:
    two_places(tmp_path)
    for place in ("near", "far"):
        (tmp_path / place).rmdir()
        (tmp_path / place).write_text("in the way")
    queue()

    at, told = NOON, []
    for wait in (timedelta(0), MINUTE, 5 * MINUTE):
        at += wait
        assert len(make_due(clock=clock_at(at))) == 1
        told.append([type(each) for each in heard()])
    assert told == [[], [], [BackupFailed]]
    assert make_due(clock=clock_at(at + HOUR)) == []

    with reading() as session:
        rows = session.scalars(sa.select(Backup).order_by(Backup.id)).all()
        assert [(each.status, each.attempt) for each in rows] == [
            (BackupStatus.FAILED, n) for n in (1, 2, 3)
        ]
        assert "far" in rows[0].reason or "near" in rows[0].reason, rows[0].reason


def test_what_a_person_must_mend_is_told_at_once(tmp_path: Path, heard: Heard) -> None:
    two_places(tmp_path)
    (tmp_path / "documents" / "letter.txt").unlink()
    (tmp_path / "documents").rmdir()
    with transaction() as session:
        runs.ask(session, session.scalars(sa.select(BackupTarget)).one(), now=NOON)

    make_due(clock=clock_at(NOON))

    (event,) = heard()
    assert isinstance(event, BackupFailed)
    assert event.what == "run"
    assert "documents" in event.reason


def test_a_much_smaller_backup_is_told_and_is_stored_all_the_same(
    tmp_path: Path, heard: Heard
) -> None:
    two_places(tmp_path)
    large = tmp_path / "documents" / "archive.bin"
    large.write_bytes(b"x" * 200_000)
    queue()
    make_due(clock=clock_at(NOON))
    heard()

    large.write_bytes(b"x" * 10)
    queue(NOON + 6 * HOUR)
    make_due(clock=clock_at(NOON + 6 * HOUR))

    succeeded, small = heard()
    assert isinstance(succeeded, BackupSucceeded)
    assert isinstance(small, BackupTooSmall)
    assert small.plain_bytes < small.usual_bytes / 2

    large.write_bytes(b"x" * 200_000)
    queue(NOON + 12 * HOUR)
    make_due(clock=clock_at(NOON + 12 * HOUR))
    assert [type(each) for each in heard()] == [BackupSucceeded, BackupRecovered]


def test_a_check_names_what_happened_and_the_next_backup_ends_the_trouble(
    tmp_path: Path, heard: Heard
) -> None:
    two_places(tmp_path)
    queue()
    make_due(clock=clock_at(NOON))
    heard()

    assert checking.check_due(clock=clock_at(NOON)) == 2
    assert checking.check_due(clock=clock_at(NOON + DAY)) == 0
    assert heard() == []

    copy = next((tmp_path / "far").rglob("*.age"))
    data = bytearray(copy.read_bytes())
    data[len(data) // 2] ^= 1
    copy.write_bytes(data)
    assert checking.check_due(clock=clock_at(NOON + 7 * DAY)) == 2
    (event,) = heard()
    assert isinstance(event, BackupFailed)
    assert event.what == "verification"
    assert "at least one bit changed" in event.reason
    with reading() as session:
        faults = session.scalars(sa.select(BackupCopy.fault)).all()
    assert sorted(faults) == ["", "changed"]

    queue(NOON + 8 * DAY)
    make_due(clock=clock_at(NOON + 8 * DAY))
    checking.check_due(clock=clock_at(NOON + 8 * DAY))
    assert [type(each) for each in heard()] == [BackupSucceeded, BackupRecovered]


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Dumps that begin, and go on only when they are let."""
    go_on = threading.Event()
    original = Packing._entry

    def wait_first(self: object, *arguments: object) -> object:
        go_on.wait(60)
        return original(self, *arguments)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(Packing, "_entry", wait_first)
    yield go_on
    go_on.set()


@pytest.fixture
def beats(monkeypatch: pytest.MonkeyPatch) -> list[Pulse]:
    """Grows by the pulse of a run with every beat that it ended."""
    ended: list[Pulse] = []
    original = Pulse._beat

    def beat(self: Pulse) -> None:
        original(self)
        ended.append(self)

    monkeypatch.setattr(Pulse, "_beat", beat)
    return ended


def running_thread(
    claim: claims.Claim, stop: threading.Event, lease: timedelta = MINUTE
) -> threading.Thread:
    thread = threading.Thread(
        target=make_claimed,
        args=(claim,),
        kwargs={"clock": clock_at(NOON), "lease": lease, "stop": stop},
        daemon=True,
    )
    thread.start()
    return thread


def claimed(now: datetime = NOON) -> claims.Claim:
    queue(now)
    with transaction() as session:
        claim = claims.claim_next(session, now=now, lease=MINUTE)
        assert claim is not None
        return claim


def test_cancelling_ends_a_run_within_seconds_and_leaves_nothing(
    tmp_path: Path, held: threading.Event, heard: Heard, beats: list[Pulse]
) -> None:
    two_places(tmp_path)
    thread = running_thread(claimed(), threading.Event())
    with transaction() as session:
        runs.cancel(session, newest(session), now=NOON)

    before = len(beats)
    eventually(lambda: len(beats) >= before + 2)  # the first may have begun before it was asked
    held.set()
    thread.join(60)

    with reading() as session:
        assert newest(session).status == BackupStatus.CANCELLED
    assert files(tmp_path / "near") == files(tmp_path / "far") == set()
    assert heard() == []


def test_a_process_that_ends_gives_its_run_back(tmp_path: Path, held: threading.Event) -> None:
    two_places(tmp_path)
    stop = threading.Event()
    thread = running_thread(claimed(), stop)
    stop.set()
    held.set()
    thread.join(60)

    with reading() as session:
        backup = newest(session)
        assert (backup.status, backup.owner, backup.attempt) == (BackupStatus.QUEUED, "", 1)
    assert files(tmp_path / "near") == set()

    make_due(clock=clock_at(NOON))
    with reading() as session:
        assert newest(session).status == BackupStatus.SUCCEEDED


def test_a_run_that_was_taken_for_dead_leaves_no_trace(
    tmp_path: Path, held: threading.Event, heard: Heard
) -> None:
    two_places(tmp_path)
    thread = running_thread(claimed(), threading.Event())
    with transaction() as session:
        session.execute(sa.update(Backup).values(leased_until=NOON - MINUTE))
        assert [each.id for each in claims.fail_broken(session, now=NOON)] == [newest_id(session)]
    held.set()
    thread.join(60)

    assert files(tmp_path / "near") == files(tmp_path / "far") == set()
    assert heard() == []
    with reading() as session:
        rows = session.scalars(sa.select(Backup).order_by(Backup.id)).all()
        assert [each.status for each in rows] == [BackupStatus.FAILED, BackupStatus.QUEUED]
    assert len(make_due(clock=clock_at(NOON + MINUTE))) == 1
    with reading() as session:
        assert newest(session).status == BackupStatus.SUCCEEDED


def newest_id(session: Session) -> str:
    return session.scalars(sa.select(Backup.id).order_by(Backup.queued_at)).all()[0]


def test_what_a_killed_process_left_is_swept_and_only_that(tmp_path: Path) -> None:
    target = two_places(tmp_path)
    queue()
    make_due(clock=clock_at(NOON))
    before = files(tmp_path / "near")
    claim = claimed(NOON + 6 * HOUR)
    folder = tmp_path / "near" / target.folder
    (folder / f".unfinished-00ff-2026-06-01T180000Z-{claim.backup_id}.tar.zst.age").write_text("?")
    (folder / f"2026-06-01T180000Z-{claim.backup_id}.tar.zst.age").write_text("shown, no manifest")
    (folder / ".unfinished-00ff-of-somebody-else").write_text("?")

    assert sweeping.mend(now=NOON + 6 * HOUR + MINUTE / 2) == 0, "its lease lasts"
    assert sweeping.mend(now=NOON + 6 * HOUR + 2 * MINUTE) == 1

    assert files(tmp_path / "near") == {*before, ".unfinished-00ff-of-somebody-else"}
    with reading() as session:
        row = session.get_one(Backup, claim.backup_id)
        assert (row.status, row.is_swept) == (BackupStatus.FAILED, True)


@on_both_stores
def test_of_many_workers_that_look_at_once_one_makes_a_backup(tmp_path: Path) -> None:
    two_places(tmp_path)
    queue()
    ready = threading.Barrier(8)

    def claim() -> claims.Claim | None:
        ready.wait()
        with transaction() as session:
            return claims.claim_next(session, now=NOON, lease=MINUTE)

    with ThreadPoolExecutor(8) as pool:
        found = [each.result() for each in [pool.submit(claim) for _ in range(8)]]

    assert len([each for each in found if each is not None]) == 1
    with transaction() as session:
        target = session.scalars(sa.select(BackupTarget)).one()
        runs.ask(session, target, now=NOON)
        assert claims.claim_next(session, now=NOON, lease=MINUTE) is None
        assert target.fence == 1


@on_both_stores
def test_two_of_one_target_never_run_at_once_and_two_of_different_ones_do(
    tmp_path: Path,
) -> None:
    allow(tmp_path)
    with transaction() as session:
        instance = an_instance(session)
        for name in ("one", "two"):
            a_target(session, instance, tmp_path, name=name)
    first, second = claimed(), claimed()
    assert first.target_id != second.target_id

    with transaction() as session:
        for target in session.scalars(sa.select(BackupTarget)).all():
            runs.ask(session, target, now=NOON)
        assert claims.claim_next(session, now=NOON, lease=MINUTE) is None


def test_a_worker_makes_what_waits_a_few_at_once(tmp_path: Path, held: threading.Event) -> None:
    allow(tmp_path)
    with transaction() as session:
        instance = an_instance(session)
        for n in range(3):
            a_target(session, instance, tmp_path, name=str(n))
    queue()
    workers = Workers(clock=clock_at(NOON))
    workers.look()

    def statuses() -> list[str]:
        with reading() as session:
            return sorted(session.scalars(sa.select(Backup.status)))

    assert statuses() == ["queued", "running", "running"]
    held.set()

    def all_made() -> bool:
        workers.look()
        return statuses() == ["succeeded"] * 3

    eventually(all_made)


def test_another_retry_does_not_follow_one_that_was_switched_off(tmp_path: Path) -> None:
    target = two_places(tmp_path)
    for place in ("near", "far"):
        (tmp_path / place).rmdir()
        (tmp_path / place).write_text("in the way")
    claim = claimed()
    with transaction() as session:
        row = session.get_one(BackupTarget, target.id)
        targets.change_target(session, row, TargetChoice(is_enabled=False), now=NOON)
    make_claimed(claim, clock=clock_at(NOON), lease=MINUTE, stop=threading.Event())

    with reading() as session:
        rows = session.scalars(sa.select(Backup)).all()
        assert [(each.status, each.kind) for each in rows] == [
            (BackupStatus.FAILED, BackupKind.SCHEDULED)
        ]
