"""No room and lines that are cut: an honest reason, old backups whole, and it heals by itself."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2 as httpx
import psycopg
import pytest
import sqlalchemy as sa
from mainstay_server.areas.backups.models import (
    Backup,
    BackupDestination,
    BackupStatus,
    BackupTarget,
    DestinationKind,
)
from mainstay_server.areas.backups.service import (
    checking,
    destinations,
    due,
    runs,
    sweeping,
    targets,
)
from mainstay_server.areas.backups.service.choosing import TargetChoice
from mainstay_server.areas.backups.service.working import make_due
from mainstay_server.kernel.copies.opened import open_destination
from mainstay_server.kernel.database import reading, transaction
from sqlalchemy.orm import Session
from tests.servers.cut_line import cut_line
from tests.servers.postgres import PostgresServer
from tests.servers.s3 import S3Server, s3

from .standing import (
    HOUR,
    NOON,
    RECIPIENT,
    a_folder,
    a_target,
    an_instance,
    project_of,
    way_out,
)
from .worlds import allow

__all__ = ["s3", "way_out"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("way_out", "database", "shared_memory"),
]
MIB = 1 << 20
DISK_MIB = 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 20 MiB in the folder `disk`."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "mainstay-small-disk", str(disk)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.fail(
            f"A small disk cannot be mounted ({mounted.stderr.strip()}). Run the tests as root, in"
            " a container with --cap-add SYS_ADMIN.",
            pytrace=False,
        )
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def back_up(at: datetime) -> Backup:
    """Make what is due now, without any later try; returns the newest."""
    with transaction() as session:
        due.queue_due(session, now=at)
    make_due(clock=lambda: at)
    with reading() as session:
        return newest(session)


def newest(session: Session) -> Backup:
    return session.scalars(sa.select(Backup).order_by(Backup.started_at.desc()).limit(1)).one()


def files(folder: Path) -> set[str]:
    return {each.name for each in folder.rglob("*") if each.is_file()}


def test_a_full_disk_is_said_and_heals(tmp_path: Path, small_disk: Path) -> None:
    allow(tmp_path)
    with transaction() as session:
        instance = an_instance(session)
        disk = a_folder(session, instance, small_disk)
        a_target(session, instance, tmp_path, destinations=[disk.id])
    content = tmp_path / "documents" / "archive.bin"
    content.write_bytes(os.urandom(2 * MIB))
    first = back_up(NOON)
    assert first.status == BackupStatus.SUCCEEDED
    whole = files(small_disk)

    content.write_bytes(os.urandom(30 * MIB))
    failed = back_up(NOON + 6 * HOUR)
    assert failed.status == BackupStatus.FAILED
    assert failed.reason == ("The disk is full; free some space or choose another destination.")
    assert failed.is_swept
    assert files(small_disk) == whole, "the old one is whole and nothing unfinished is left"
    assert checking.check_due(clock=lambda: NOON + 6 * HOUR) == 1
    with reading() as session:
        (copy,) = runs.readable_copies(session, session.get_one(Backup, first.id))
        assert copy.copy.fault == ""

    content.write_bytes(os.urandom(4 * MIB))
    healed = back_up(NOON + 12 * HOUR)
    assert healed.status == BackupStatus.SUCCEEDED


def test_a_disk_that_is_known_to_be_too_small_is_not_even_begun(
    tmp_path: Path, small_disk: Path
) -> None:
    allow(tmp_path)
    with transaction() as session:
        instance = an_instance(session)
        disk = a_folder(session, instance, small_disk)
        a_target(session, instance, tmp_path, destinations=[disk.id])
    (tmp_path / "documents" / "archive.bin").write_bytes(os.urandom(11 * MIB))
    assert back_up(NOON).status == BackupStatus.SUCCEEDED

    failed = back_up(NOON + 6 * HOUR)

    assert failed.status == BackupStatus.FAILED
    assert "bytes free and about" in failed.reason


def filled(server: PostgresServer) -> str:
    """A database of 12 MiB; returns its name."""
    name = server.new_database()
    with psycopg.connect(server.dsn_of(name)) as connection:
        connection.execute("CREATE TABLE scans (id int PRIMARY KEY, content bytea)")
        for n in range(12):
            connection.execute("INSERT INTO scans VALUES (%s, %s)", (n, os.urandom(MIB)))
    return name


def test_a_line_to_the_database_that_is_cut_is_said_and_heals(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    name = filled(postgres)
    allow(tmp_path)

    def through(port: int) -> TargetChoice:
        return TargetChoice(config={"url": f"postgresql://postgres@127.0.0.1:{port}/{name}"})

    with cut_line(postgres.port, cut_after=5 * MIB, answers=True) as line:
        with transaction() as session:
            instance = an_instance(session)
            disk = a_folder(session, instance, tmp_path / "disk")
            choice = replace(
                through(line.port), name="scans", destinations=[disk.id], recipients=[RECIPIENT]
            )
            targets.create_target(session, instance, engine="postgresql", choice=choice, now=NOON)
        failed = back_up(NOON)

    assert failed.status == BackupStatus.FAILED
    assert "server closed the connection unexpectedly" in failed.reason, failed.reason
    assert files(tmp_path / "disk") == set()
    assert (failed.is_swept, failed.key != "") == (True, False)

    with transaction() as session:
        target = session.scalars(sa.select(BackupTarget)).one()
        targets.change_target(session, target, through(postgres.port), now=NOON)
    healed = back_up(NOON + 6 * HOUR)
    assert healed.status == BackupStatus.SUCCEEDED
    (beside,) = healed.beside
    assert beside["name"] == "globals.sql"
    assert checking.check_due(clock=lambda: NOON + 6 * HOUR) == 1
    with (tmp_path / "disk" / beside["key"]).open("ab") as file:
        file.write(b"?")
    checking.check_due(clock=lambda: NOON + 15 * 24 * HOUR)
    with reading() as session:
        (copy,) = runs.readable_copies(session, session.get_one(Backup, healed.id))
        assert (copy.copy.fault, copy.copy.reason) == (
            "changed",
            "globals.sql beside it is not as it was written.",
        )


def elsewhere(url: str, port: int) -> str:
    """The same bucket through another port."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query)) | {"endpoint": f"http://127.0.0.1:{port}"}
    return parts._replace(query=urlencode(options)).geturl()


def open_uploads(s3: S3Server, url: str) -> int:
    return httpx.get(f"{s3.endpoint}/{urlsplit(url).netloc}?uploads").text.count("<Upload>")


def test_a_line_to_the_bucket_that_is_cut_loses_no_other_copy_and_is_swept_later(
    tmp_path: Path, s3: S3Server
) -> None:
    allow(tmp_path)
    bucket = s3.new_bucket()
    with cut_line(s3.port, cut_after=12 * MIB) as line:
        with transaction() as session:
            instance = an_instance(session)
            near = a_folder(session, instance, tmp_path / "near", "near")
            far = destinations.create_destination(
                session,
                project_of(session, instance),
                name="far",
                kind=DestinationKind.S3,
                url=elsewhere(bucket, line.port),
                now=NOON,
            )
            a_target(session, instance, tmp_path, destinations=[near.id, far.id])
        (tmp_path / "documents" / "archive.bin").write_bytes(os.urandom(40 * MIB))
        degraded = back_up(NOON)

    assert degraded.status == BackupStatus.DEGRADED
    assert "check that it is reachable" in degraded.reason, degraded.reason
    assert not degraded.is_swept, "the bucket is out of reach: something may be open there"
    assert open_uploads(s3, bucket) == 1
    assert len(files(tmp_path / "near")) == 2

    with transaction() as session:
        place = session.scalars(
            sa.select(BackupDestination).where(BackupDestination.name == "far")
        ).one()
        destinations.change_destination(session, place, url=bucket, now=NOON)
    sweeping.mend(now=NOON + HOUR)
    assert open_uploads(s3, bucket) == 0
    assert open_destination(bucket).keys("") == []
    with reading() as session:
        assert newest(session).is_swept

    assert back_up(NOON + 6 * HOUR).status == BackupStatus.SUCCEEDED
    assert len(open_destination(bucket).keys("")) == 2
