"""A backup at one destination, made without an engine, and a server whose key is known."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mainstay_server.areas.backups.schemas import Fingerprint
from mainstay_server.areas.backups.service.manifests import Manifest, manifest_key_of, signed
from mainstay_server.kernel.copies.running import WritePlan, Writing
from mainstay_server.kernel.settings import forget_settings
from tests.kernel.copies.worlds import Key, key, piped

__all__ = ["key"]

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MAINSTAY_SECRET_KEY", "a-secret-key-of-the-tests-only-0123456789")
    forget_settings()
    yield
    forget_settings()


@dataclass(frozen=True)
class Backup:
    """A backup and the folder that its copy lies in."""

    manifest: Manifest
    folder: Path

    @property
    def url(self) -> str:
        return f"file://{self.folder}"

    @property
    def copy(self) -> Path:
        return self.folder / self.manifest.key

    @property
    def manifest_file(self) -> Path:
        return self.folder / self.manifest.manifest_key


def back_up(
    folder: Path,
    key: Key,
    data: bytes,
    *,
    name: str = "b1",
    engine: str = "postgresql",
    extension: str = "dump",
    target: str = "shop on db.internal",
) -> Backup:
    """Seal the data, sign its manifest and put both in the folder `copies`."""
    place = folder / "copies"
    copy = f"shop/{name}.{extension}.zst.age"
    plan = WritePlan(copy, {"disk": f"file://{place}"}, [key.public])
    with piped(data) as dump, Writing(plan, plain=dump) as writing:
        list(writing)
        manifest = Manifest(
            id=name,
            key=copy,
            engine=engine,
            target=target,
            server="15.18",
            tools="pg_dump 15.18",
            started_at=NOON,
            finished_at=NOON + timedelta(minutes=1),
            sealed=writing.sealed,
            recipients=(key.public,),
            fingerprints=(Fingerprint("orders", 1 << 60, "00ff"),),
            restore=("pg_restore …",),
        )
        beside = manifest_key_of(copy, backup_id=name)
        assert writing.show(key=beside, data=signed(manifest)) == {"disk": None}
    return Backup(manifest, place)
