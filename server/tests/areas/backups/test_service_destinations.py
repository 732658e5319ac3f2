"""Destinations: checked when they are given, tried when somebody asks, and kept while needed."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from mainstay_server.areas.backups.models import BackupDestination, DestinationKind
from mainstay_server.areas.backups.service import destinations, targets
from mainstay_server.areas.backups.service.choosing import TargetChoice
from mainstay_server.areas.backups.service.places import url_of
from mainstay_server.areas.backups.settings import BackupSettings
from mainstay_server.contracts.backups import (
    BackupDestinationChanged,
    BackupDestinationCreated,
    BackupDestinationRemoved,
)
from mainstay_server.kernel import outbound
from mainstay_server.kernel.copies.destinations import DestinationFailed
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.problems import Conflict, Invalid
from mainstay_server.kernel.settings import ServerSettings, override_settings
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.conftest import Said
from tests.servers.s3 import S3Server, s3

from .standing import (
    NOON,
    a_folder,
    a_stored_backup,
    a_target,
    an_instance,
    project_of,
    way_out,
)
from .worlds import allow

__all__ = ["s3", "way_out"]

pytestmark = pytest.mark.usefixtures("way_out")
KEYS = "access_key_id=us&secret_access_key=53cr3t"


def a_bucket(session: Session, url: str, instance: InstanceRef | None = None) -> BackupDestination:
    return destinations.create_destination(
        session,
        project_of(session, instance or an_instance(session)),
        name="off-site",
        kind=DestinationKind.S3,
        url=url,
        now=NOON,
    )


def test_a_bucket_is_shown_without_its_keys(session: Session, said: Said) -> None:
    url = f"s3://shop-backups/nightly?endpoint=https://s3.test:9000&{KEYS}"
    bucket = a_bucket(session, url)

    assert bucket.shown == "s3://shop-backups/nightly at s3.test:9000"
    (event,) = said()
    assert isinstance(event, BackupDestinationCreated)
    rows = session.execute(sa.text("SELECT * FROM backup_destinations")).all()
    assert "53cr3t" not in f"{rows} {event}"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"s3://b?{KEYS}", "s3://bucket"),
        ("s3://shop-backups", "lacks access_key_id and secret"),
        (f"s3://shop-backups?{KEYS}&proxy_url=http://x", "may not say proxy_url"),
        (f"s3://shop-backups?{KEYS}&region=x/@evil", "region"),
        (f"s3://shop-backups/../up?{KEYS}", "prefix"),
        (f"s3://shop-backups?{KEYS}&endpoint=file:///etc", "endpoint"),
        (f"s3://shop-backups?{KEYS}&endpoint=https://u:p@host", "endpoint"),
        (f"s3://shop-backups?{KEYS}&endpoint=http://169.254.169.254", "never open"),
        (f"s3://shop-backups?{KEYS}&endpoint=http://[fd00:ec2::254]", "never open"),
        (f"s3://shop-backups?{KEYS}&endpoint=http://metadata.google.internal", "never open"),
        ("s3://shop-backups?" + "x" * 2000, "longer than"),
    ],
)
def test_a_bucket_that_cannot_be_is_refused(session: Session, url: str, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        a_bucket(session, url)


def test_private_addresses_are_refused_where_the_operator_does_not_open_them(
    session: Session,
) -> None:
    url = f"s3://shop-backups?{KEYS}&endpoint="
    outbound.close_outbound()
    outbound.open_outbound(allow_private=False)

    instance = an_instance(session)
    with pytest.raises(Invalid, match="MAINSTAY_OUTBOUND_ALLOW_PRIVATE"):
        a_bucket(session, f"{url}http://10.0.0.7:9000", instance)
    # What a name leads to is looked up when it is used.
    bucket = a_bucket(session, f"{url}http://localhost:9000", instance)
    with pytest.raises(DestinationFailed, match="MAINSTAY_OUTBOUND_ALLOW_PRIVATE"):
        url_of(bucket)


def test_a_folder_must_be_one_that_the_operator_named(session: Session, tmp_path: Path) -> None:
    instance = an_instance(session)
    allow(tmp_path / "allowed")

    with pytest.raises(Invalid, match="MAINSTAY_BACKUP_FOLDERS"):
        a_folder(session, instance, tmp_path / "other")

    folder = a_folder(session, instance, tmp_path / "allowed")
    assert url_of(folder) == f"file://{tmp_path / 'allowed'}"
    override_settings(BackupSettings(backup_folders=""))
    with pytest.raises(DestinationFailed, match="MAINSTAY_BACKUP_FOLDERS"):
        url_of(folder)


@pytest.mark.parametrize(
    ("blobs", "url"),
    [
        ("", "file://{data}/backups/{project}"),
        ("file:///srv/objects", "file:///srv/objects/backups/{project}"),
        (f"s3://objects/mine?{KEYS}", f"s3://objects/mine/backups/{{project}}?{KEYS}"),
    ],
)
def test_this_server_is_a_destination_without_any_configuration(
    session: Session, tmp_path: Path, blobs: str, url: str
) -> None:
    override_settings(ServerSettings(data_dir=tmp_path, blobs_url=blobs))
    project = project_of(session, an_instance(session))
    own = destinations.ensure_own_destination(session, project, now=NOON)

    assert url_of(own) == url.format(data=tmp_path, project=project.id)
    assert destinations.ensure_own_destination(session, project, now=NOON).id == own.id


@pytest.mark.parametrize("blobs", ["gs://objects", "s3://objects"])
def test_a_store_that_takes_no_backups_says_so(
    session: Session, tmp_path: Path, blobs: str
) -> None:
    override_settings(ServerSettings(data_dir=tmp_path, blobs_url=blobs))
    project = project_of(session, an_instance(session))
    own = destinations.ensure_own_destination(session, project, now=NOON)

    with pytest.raises(DestinationFailed, match="bucket of S3"):
        url_of(own)


def test_a_place_with_copies_is_neither_moved_nor_removed(
    session: Session, said: Said, tmp_path: Path
) -> None:
    instance = an_instance(session)
    allow(tmp_path)
    disk = a_folder(session, instance, tmp_path / "disk")
    target = a_target(session, instance, tmp_path, destinations=[disk.id])
    a_stored_backup(session, target)
    own = destinations.ensure_own_destination(session, project_of(session, instance), now=NOON)
    said()

    with pytest.raises(Conflict, match="documents is backed up there"):
        destinations.remove_destination(session, disk, now=NOON)
    targets.change_target(session, target, TargetChoice(destinations=[own.id]), now=NOON)
    with pytest.raises(Conflict, match="1 copies lie there"):
        destinations.remove_destination(session, disk, now=NOON)
    elsewhere = tmp_path / "elsewhere"
    with pytest.raises(Conflict, match="Copies lie there"):
        destinations.change_destination(session, disk, url=f"file://{elsewhere}", now=NOON)

    destinations.remove_destination(session, disk, forget_copies=True, now=NOON)
    assert isinstance(said()[-1], BackupDestinationRemoved)


def test_keys_can_be_changed_and_that_is_said_without_them(session: Session, said: Said) -> None:
    bucket = a_bucket(session, f"s3://shop-backups?{KEYS}")
    said()

    url = "s3://shop-backups?access_key_id=us&secret_access_key=n3w"
    destinations.change_destination(session, bucket, url=url, now=NOON)

    (event,) = said()
    assert isinstance(event, BackupDestinationChanged)
    assert event.changes == {"keys": ("the old ones", "new ones")}


def test_names_are_free_once(session: Session, tmp_path: Path) -> None:
    allow(tmp_path)
    instance = an_instance(session)
    first = a_folder(session, instance, tmp_path / "a", "one")
    a_folder(session, instance, tmp_path / "b", "two")

    with pytest.raises(Conflict, match="one"):
        a_folder(session, instance, tmp_path / "c", "one")
    with pytest.raises(Conflict, match="two"):
        destinations.change_destination(session, first, name="two", now=NOON)


def test_a_check_writes_reads_and_removes(
    database: None, shared_memory: None, tmp_path: Path
) -> None:
    allow(tmp_path)
    with transaction() as session:
        disk = a_folder(session, an_instance(session), tmp_path / "disk")

    assert destinations.check(disk.id, now=NOON) == ""
    assert list((tmp_path / "disk").iterdir()) == []

    (tmp_path / "disk").rmdir()
    (tmp_path / "disk").write_text("in the way")
    problem = destinations.check(disk.id, now=NOON)
    with reading() as session:
        row = destinations.get_destination(session, disk.id)
        assert row.problem == problem != ""
        assert (row.problem_since, row.checked_at) == (NOON, NOON)


def test_a_check_asks_a_real_store(
    database: None, shared_memory: None, s3: S3Server, tmp_path: Path
) -> None:
    there = s3.new_bucket()
    missing = urlsplit(there)._replace(netloc="no-such-bucket").geturl()
    with transaction() as session:
        instance = an_instance(session)
        made = [
            destinations.create_destination(
                session,
                project_of(session, instance),
                name=name,
                kind=DestinationKind.S3,
                url=url,
                now=NOON,
            ).id
            for name, url in (("there", there), ("missing", missing))
        ]

    assert destinations.check(made[0], now=NOON) == ""
    assert "NoSuchBucket" in destinations.check(made[1], now=NOON)
