"""A folder comes back entry for entry, and no archive writes outside of it."""

import io
import os
import subprocess
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mainstay_server.areas.backups.providers import files
from mainstay_server.areas.backups.providers.files import packing
from mainstay_server.areas.backups.schemas import (
    Difference,
    DumpFailed,
    RestoreFailed,
    Versions,
    What,
    compare,
)
from mainstay_server.kernel.problems import Conflict, Invalid
from tests.areas.backups.worlds import allow, back_up, drill, restore, with_flipped_bit
from typing_extensions import override

VERSIONS = Versions(server="linux", tools="pax")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "run"
    made.mkdir()
    return made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with one of each."""
    root = tmp_path / "data"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a.txt").write_bytes(b"hello, this is content\n")
    (root / "sub" / "tool").write_bytes(b"#!/bin/sh\n")
    (root / "sub" / "tool").chmod(0o755)
    (root / "sub" / "deep" / ("long" * 60)).write_bytes(os.urandom(100_000))
    (root / "sub" / "zero").touch()
    (root / "Ünï\ncode 🎉").write_text("odd name")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfe")).write_text("no UTF-8")
    (root / "link").symlink_to("sub/tool")
    (root / "outward").symlink_to("/etc/passwd")
    (root / "locked").mkdir()
    (root / "locked" / "inside").write_text("x")
    (root / "locked").chmod(0o555)
    return root


@pytest.fixture
def config(data: Path, tmp_path: Path) -> dict[str, Any]:
    allow(tmp_path)
    return files.checked({"path": str(data)})


def listed(root: Path) -> dict[str, tuple[int, bytes | str]]:
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in root.rglob("*"):
        mode = path.lstat().st_mode
        if path.is_symlink():
            found[str(path.relative_to(root))] = (mode, str(path.readlink()))
        else:
            content = b"" if path.is_dir() else path.read_bytes()
            found[str(path.relative_to(root))] = (mode, content)
    return found


def test_a_destroyed_folder_comes_back_entry_for_entry(
    config: dict[str, Any], data: Path, folder: Path
) -> None:
    before, time = listed(data), (data / "a.txt").stat().st_mtime
    taken = back_up(files, config, folder)
    files._remove(data)
    restore(files, config, taken, folder)

    assert listed(data) == before
    assert len(before) == 13
    assert files.fingerprints(config, folder=folder) == taken.fingerprints
    assert abs((data / "a.txt").stat().st_mtime - time) <= 1
    assert taken.notes == ()
    assert "\\xff\\xfe" in {each.name for each in taken.fingerprints}


def test_the_same_files_make_the_same_bytes(config: dict[str, Any], folder: Path) -> None:
    assert back_up(files, config, folder).dump == back_up(files, config, folder).dump


def test_any_tar_reads_it(config: dict[str, Any], data: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "dump.tar").write_bytes(back_up(files, config, folder).dump)
    (tmp_path / "by-tar").mkdir()
    subprocess.run(["tar", "-xpf", "dump.tar", "-C", "by-tar"], cwd=tmp_path, check=True)

    assert listed(tmp_path / "by-tar") == listed(data)


def test_a_flipped_bit_is_named(config: dict[str, Any], folder: Path) -> None:
    taken = back_up(files, config, folder)
    taken.dump = with_flipped_bit(taken.dump, b"hello, this is")

    assert drill(files, taken, folder) == [
        Difference(name="a.txt", what=What.CONTENT, rows=(23, 23))
    ]


def test_every_kind_of_change_is_named(config: dict[str, Any], data: Path, folder: Path) -> None:
    before = files.fingerprints(config, folder=folder)
    (data / "a.txt").unlink()
    (data / "new").touch()
    (data / "sub" / "zero").write_text("1")
    (data / "sub" / "tool").chmod(0o700)
    (data / "link").unlink()
    (data / "link").symlink_to("sub/zero")

    assert [
        (each.name, each.what)
        for each in compare(before, files.fingerprints(config, folder=folder))
    ] == [
        ("a.txt", What.MISSING),
        ("link", What.CONTENT),
        ("new", What.EXTRA),
        ("sub/tool", What.CONTENT),
        ("sub/zero", What.ROWS),
    ]


def test_an_archive_that_was_cut_anywhere_is_no_success(
    config: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    taken = back_up(files, config, folder)
    whole = taken.dump
    blocks = len(whole) // tarfile.BLOCKSIZE
    for number, size in enumerate(
        [0, 1, len(whole) - 1, *(blocks * part // 10 * tarfile.BLOCKSIZE for part in range(1, 10))]
    ):
        taken.dump = whole[:size]
        with pytest.raises(RestoreFailed):
            restore(files, {"path": str(tmp_path / f"cut-{number}")}, taken, folder)


def test_an_archive_cut_between_two_entries_is_no_success(tmp_path: Path, folder: Path) -> None:
    archive = archived(lambda tar: add(tar, "whole", b"x" * 512))[: 2 * tarfile.BLOCKSIZE]

    with pytest.raises(RestoreFailed, match="its end is missing"):
        unpack(archive, tmp_path / "there", folder)


def test_what_changes_meanwhile_is_told_and_the_archive_stays_whole(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "CHUNK_BYTES", 1024)
    root = tmp_path / "live"
    root.mkdir()
    for name in ("grows", "quiet", "shrinks"):
        (root / name).write_bytes(b"x" * 50_000)
    allow(tmp_path)
    with files.dumping(files.checked({"path": str(root)}), folder=folder) as dump:
        first = dump.stream.read(2000)
        with (root / "grows").open("ab") as file:
            file.write(b"more")
        rest = dump.stream.read(54_000 * 2)
        (root / "shrinks").write_bytes(b"less")
        rest += dump.stream.read()
        dump.finish()
        before, notes = dump.fingerprints(), dump.notes()
    unpack(first + rest, tmp_path / "there", folder)

    assert notes == ("grows changed while it was read.", "shrinks changed while it was read.")
    assert [each.rows for each in before] == [50_000, 50_000, 50_000]
    assert files.fingerprints({"path": str(tmp_path / "there")}, folder=folder) == before


def test_special_files_are_left_out_by_name_and_holes_are_told(
    config: dict[str, Any], data: Path, folder: Path
) -> None:
    os.mkfifo(data / "pipe")
    with (data / "holes").open("wb") as file:
        file.truncate(4 << 20)
    (data / "sub" / "tool").chmod(0o4755)
    taken = back_up(files, config, folder)

    assert set(taken.notes) == {
        "pipe is no file, folder or link, and was left out.",
        "holes has holes; they are stored as zeros.",
        "sub/tool runs with its owner's rights, which is not restored.",
    }
    assert drill(files, taken, folder) == []


def test_a_dump_that_was_not_read_to_its_end_is_none(config: dict[str, Any], folder: Path) -> None:
    with files.dumping(config, folder=folder) as dump:
        dump.stream.read(1000)
        with pytest.raises(DumpFailed, match="not read to its end"):
            dump.finish()


def test_too_many_entries_are_refused(
    config: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "MOST_ENTRIES", 5)

    with pytest.raises(DumpFailed, match="more than 5 entries"):
        back_up(files, config, folder)


def test_a_target_that_holds_something_or_is_a_link_is_refused(
    config: dict[str, Any], data: Path, folder: Path, tmp_path: Path
) -> None:
    taken = back_up(files, config, folder)
    (tmp_path / "led").symlink_to(tmp_path / "nowhere")
    for path in (data, tmp_path / "led"):
        with pytest.raises(Conflict, match="not empty") as refusal:
            restore(files, {"path": str(path)}, taken, folder)
        assert refusal.value.code == "target-not-empty"
    with pytest.raises(Invalid, match="is no folder"):
        files.checked({"path": str(data / "a.txt")})


def archived(fill: Callable[[tarfile.TarFile], None]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        fill(tar)
    return made.getvalue()


def add(tar: tarfile.TarFile, name: str, content: bytes = b"evil", **fields: Any) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    for field, value in fields.items():
        setattr(entry, field, value)
    tar.addfile(entry, io.BytesIO(content))


def unpack(archive: bytes, path: Path, folder: Path) -> None:
    files.restore({"path": str(path)}, io.BytesIO(archive), versions=VERSIONS, folder=folder)


def through_a_link(tar: tarfile.TarFile) -> None:
    add(tar, "way", b"", type=tarfile.SYMTYPE, linkname="..")
    add(tar, "way/outside")


def a_link_through_a_link(tar: tarfile.TarFile) -> None:
    add(tar, "way", b"", type=tarfile.SYMTYPE, linkname="..")
    add(tar, "way/outside", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")


def twice(tar: tarfile.TarFile) -> None:
    add(tar, "twice")
    add(tar, "twice")


def over_a_link(tar: tarfile.TarFile) -> None:
    add(tar, "outside", b"", type=tarfile.SYMTYPE, linkname="../outside")
    add(tar, "outside")


@pytest.mark.parametrize(
    "fill",
    [
        lambda tar: add(tar, "../outside"),
        lambda tar: add(tar, "a/../../outside"),
        lambda tar: add(tar, "/tmp/mainstay-outside"),  # noqa: S108 - it must not be made
        lambda tar: add(tar, "."),
        lambda tar: add(tar, "device", b"", type=tarfile.CHRTYPE),
        lambda tar: add(tar, "pipe", b"", type=tarfile.FIFOTYPE),
        lambda tar: add(tar, "hard", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
        twice,
        through_a_link,
        a_link_through_a_link,
        over_a_link,
    ],
)
def test_no_archive_writes_outside_of_its_folder(
    fill: Callable[[tarfile.TarFile], None], tmp_path: Path, folder: Path
) -> None:
    with pytest.raises(RestoreFailed):
        unpack(archived(fill), tmp_path / "inside", folder)

    assert {each.name for each in tmp_path.iterdir()} <= {"inside", "run"}
    assert not Path("/tmp/mainstay-outside").exists()  # noqa: S108 - same


class Swapping(io.BytesIO):
    """An archive that somebody waits for: while it is read, a folder becomes a link elsewhere."""

    swap: Callable[[], None] | None = None

    @override
    def read(self, size: int | None = -1) -> bytes:
        if self.swap and self.tell() > 0:
            self.swap()
            self.swap = None
        return super().read(size)


def test_nobody_who_may_write_in_the_folder_leads_a_restore_elsewhere(
    tmp_path: Path, folder: Path
) -> None:
    inside, elsewhere = tmp_path / "inside", tmp_path / "elsewhere"
    elsewhere.mkdir()

    def fill(tar: tarfile.TarFile) -> None:
        add(tar, "sub", b"", type=tarfile.DIRTYPE)
        add(tar, "large", bytes(4 << 20))
        add(tar, "sub/evil")

    def swap() -> None:
        (inside / "sub").rename(inside / "was")
        (inside / "sub").symlink_to(elsewhere)

    archive = Swapping(archived(fill))
    archive.swap = swap
    with pytest.raises(RestoreFailed):
        files.restore({"path": str(inside)}, archive, versions=VERSIONS, folder=folder)

    assert list(elsewhere.iterdir()) == []


def test_a_folder_that_leads_elsewhere_by_now_is_refused(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "led").symlink_to("elsewhere")
    with pytest.raises(Conflict) as refusal:
        unpack(archived(add_one), tmp_path / "led" / "new", folder)
    assert refusal.value.code == "target-moved"
    assert list((tmp_path / "elsewhere").iterdir()) == []


def add_one(tar: tarfile.TarFile) -> None:
    add(tar, "one")


def test_a_file_that_runs_as_its_owner_does_not_come_back_so(tmp_path: Path, folder: Path) -> None:
    unpack(archived(lambda tar: add(tar, "tool", mode=0o6755)), tmp_path / "there", folder)

    assert (tmp_path / "there" / "tool").stat().st_mode & 0o7777 == 0o755


def test_memory_stays_flat_however_large_a_file_is(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "data").mkdir()
    with (tmp_path / "data" / "large").open("wb") as file:
        file.truncate(300 << 20)
    config = {"path": str(tmp_path / "data")}
    tracemalloc.start()
    try:
        with files.dumping(config, folder=folder) as dump:
            files.restore(
                {"path": str(tmp_path / "there")}, dump.stream, versions=VERSIONS, folder=folder
            )
            dump.finish()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert (tmp_path / "there" / "large").stat().st_size == 300 << 20
    assert peak < 20 << 20
