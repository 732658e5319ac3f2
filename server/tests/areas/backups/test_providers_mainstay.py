"""Mainstay leaves whole, while it works, and another one starts from what came back."""

import json
import os
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import httpx2
import msgspec
import pytest
from mainstay_server.areas.backups.providers import mainstay as engine
from mainstay_server.areas.backups.schemas import (
    Difference,
    RestoreFailed,
    What,
)
from mainstay_server.areas.backups.service import recovery
from mainstay_server.areas.backups.settings import BackupSettings
from mainstay_server.kernel import blobs, columns
from mainstay_server.kernel.columns import JSON_LINES, Table
from mainstay_server.kernel.database import close_database, open_database
from mainstay_server.kernel.migrations import migrate
from mainstay_server.kernel.problems import Conflict, Invalid
from mainstay_server.kernel.settings import forget_settings, override_settings
from tests.column_stores import empty_columns
from tests.servers.processes import free_port
from tests.waiting import eventually

from .worlds import Taken, back_up, drill, restore, shared_folder, with_flipped_bit

pytestmark = pytest.mark.slow

SECRET = "a-secret-that-only-the-operator-knows"
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
VISITS = Table(
    name="visits",
    columns={"at": "DateTime64(3, 'UTC')", "name": "String"},
    order_by=("at",),
    time_column="at",
    retention_days=3650,
)


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The stores of one Mainstay, open, with something in each."""
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(data))
    monkeypatch.delenv("MAINSTAY_SECRET_KEY", raising=False)
    forget_settings()
    override_settings(BackupSettings(backup_itself_secret=SECRET))
    open_database(f"sqlite:///{data / 'mainstay.db'}")
    migrate()
    blobs.open_blobs(f"file://{data / 'blobs'}")
    blobs.put("attachments/1.txt", b"an attachment")
    blobs.put("backups/p1/copy.age", b"x" * 1000)
    try:
        with empty_columns(VISITS):
            append(1000)
            yield data
    finally:
        blobs.close_blobs()
        close_database()
        forget_settings()


def append(count: int) -> None:
    rows = [{"at": "2026-06-01T12:00:00.000Z", "name": f"visitor {n}"} for n in range(count)]
    body = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    columns.append_blocking(VISITS, body, rows=count, encoding=JSON_LINES)


def taken_of(folder: Path) -> Taken:
    return back_up(engine, engine.checked({"secret": SECRET}), folder)


def test_all_of_it_comes_back_and_opens(running: Path) -> None:
    with shared_folder() as folder:
        taken = taken_of(folder)
        append(500)  # what comes later is not in it
        assert drill(engine, taken, folder) == []
        with engine.scratch(taken.versions, folder=folder) as config:
            restore(engine, dict(config), taken, folder)
            root = Path(config["path"])
            assert (root / "blobs/attachments/1.txt").read_bytes() == b"an attachment"
            assert not (root / "blobs/backups").exists(), "copies of copies would grow for ever"
            assert (root / "secret_key").read_bytes() == (running / "secret_key").read_bytes()
            with closing(sqlite3.connect(root / "mainstay.db")) as database:
                assert database.execute("SELECT count(*) FROM organizations").fetchone() == (0,)
            tried = [sys.executable, "-m", "mainstay_server.kernel.columns.trying"]
            told = subprocess.run([*tried, root / "columns"], capture_output=True, check=True)
            assert json.loads(told.stdout) == {"rows": {"visits": 1000}, "broken": 0}
    names = {each.name: each.rows for each in taken.fingerprints}
    assert {"mainstay.db": 1, "secret_key": 1, "blobs/attachments": 1}.items() <= names.items()
    assert names["columns/visits"] > 1
    assert "Copies of backups that lie on this server are left out." in taken.notes
    held = columns.query_value("SELECT count() FROM visits")
    assert held == 1500


@pytest.mark.parametrize(
    ("marker", "name"),
    [(b"an attachment", "blobs/attachments"), (b"`at` DateTime64(3, 'UTC')", "columns/visits")],
)
def test_one_flipped_bit_is_named(running: Path, marker: bytes, name: str) -> None:
    with shared_folder() as folder:
        taken = taken_of(folder)
        rows = {each.name: each.rows for each in taken.fingerprints}[name]
        taken.dump = with_flipped_bit(taken.dump, marker)
        try:
            found = drill(engine, taken, folder)
        except RestoreFailed as failure:
            assert "put 1 parts aside" in str(failure) or "do not open" in str(failure)  # noqa: PT017 - either names it
        else:
            assert found == [Difference(name=name, what=What.CONTENT, rows=(rows, rows))]


def test_a_broken_database_and_a_cut_archive_are_named(running: Path) -> None:
    with shared_folder() as folder:
        taken = taken_of(folder)
        whole = taken.dump
        at = whole.index(b"SQLite format 3\0")
        for dump, reason in (
            (whole[: at + 2000] + b"\xff" * 3000 + whole[at + 5000 :], "database"),
            (whole[: len(whole) // 512 // 2 * 512], "cut|end of|unexpected"),
            (whole[:-1024], "cut"),
        ):
            taken.dump = dump
            with pytest.raises(RestoreFailed, match=f"(?i){reason}"):
                drill(engine, taken, folder)


@pytest.mark.parametrize(
    ("name", "link"),
    [("../evil", ""), ("blobs/../../evil", ""), ("columns/data/x", "/etc"), ("other", "")],
)
def test_an_archive_that_leads_elsewhere_is_refused(running: Path, name: str, link: str) -> None:
    made = BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        if link:
            entry.type, entry.linkname = tarfile.SYMTYPE, link
        archive.addfile(entry)
    with shared_folder() as folder:
        taken = Taken(made.getvalue(), (), engine.find_versions({}))
        with pytest.raises(RestoreFailed, match=r"leads out|belongs to no data dir"):
            drill(engine, taken, folder)


def test_only_the_operator_has_it_backed_up_and_nobody_replaces_what_runs(running: Path) -> None:
    for given in ("", "another secret of some length", SECRET[:-1]):
        with pytest.raises(Invalid) as refusal:
            engine.checked({"secret": given})
        assert refusal.value.code == "not-the-operator"
    override_settings(BackupSettings(backup_itself_secret=""))
    with pytest.raises(Invalid):
        engine.checked({"secret": ""})
    with pytest.raises(Conflict, match="cannot be replaced while it runs") as running_one:
        engine.check_restore({"itself": True}, engine.find_versions({}))
    assert running_one.value.code == "target-is-running"


def test_a_server_starts_from_what_the_recovery_sheet_makes(
    running: Path, tmp_path: Path, follow_sheet: Callable[[bytes, Path], Path]
) -> None:
    with shared_folder() as folder:
        taken = taken_of(folder)
    data = follow_sheet(taken.dump, tmp_path / "elsewhere")
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    program = Path(__file__).parents[4] / ".venv/bin/mainstay"
    server = subprocess.Popen(
        [str(program), "up", "--port", str(port), "--data-dir", str(data)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def is_up() -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
        except httpx2.HTTPError:
            assert server.poll() is None, "it ended"
            return False

    try:
        eventually(is_up)
    finally:
        server.terminate()
        server.wait()
    assert (data / "blobs/attachments/1.txt").read_bytes() == b"an attachment"


@pytest.fixture
def follow_sheet() -> Callable[[bytes, Path], Path]:
    """Does what the sheet says after the copy was opened, but for starting the server."""

    def follow(dump: bytes, folder: Path) -> Path:
        folder.mkdir()
        (folder / "dump.tar").write_bytes(dump)
        *commands, last = recovery.RESTORES["mainstay"]
        assert last == "mainstay up --data-dir data"
        for command in commands:
            line = command.format(dump="dump.tar")
            subprocess.run(["bash", "-euc", line], cwd=folder, check=True)
        return folder / "data"

    return follow
