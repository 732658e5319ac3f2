"""`mainstay audit verify` as an auditor uses it: a real server's log, whole and tampered with."""

import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mainstay_cli.audit_verifier.merkle import leaf_hash
from tests.journeys.running import PROJECT, TOKEN, Mainstay, running_mainstay
from tests.servers.http import Answer, running_http
from tests.waiting import eventually

pytestmark = pytest.mark.slow

PROGRAM = Path(sys.executable).parent / "mainstay"
PATIENCE_SECONDS = 120
VERIFIES, DOES_NOT, UNREADABLE = 0, 1, 2
ROWS = 12

Lines = list[bytes]


@pytest.fixture(scope="module")
def server() -> Iterator[Mainstay]:
    # Each row is signed at once, so that no test waits for the minute.
    with running_mainstay({"MAINSTAY_AUDIT_CHECKPOINT_ROWS": "1"}) as started:
        administer(started, ROWS)
        yield started


def administer(server: Mainstay, times: int) -> None:
    """Rename the project, and wait until the log has it, signed."""
    for number in range(times):
        renamed = server.call("PATCH", f"/api/projects/{PROJECT}", json={"name": f"N {number}"})
        assert renamed.is_success, renamed.text

    def is_signed() -> bool:
        told = server.get("/api/audit/verify")
        listed = server.get("/api/audit-logs?limit=1")
        newest = listed["auditLogs"][0]["changes"].get("name", ["", ""])
        return bool(newest[1] == f"N {times - 1}") and bool(told["covered"] == listed["total"])

    assert eventually(is_signed)


def verify(*arguments: str | Path, server: Mainstay | None = None) -> tuple[int, str]:
    """Run `mainstay audit verify`; its exit code and everything that it said."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAINSTAY_", "_MAINSTAY"))}
    told = {"MAINSTAY_URL": server.url, "MAINSTAY_TOKEN": TOKEN} if server else {}
    ended = subprocess.run(
        [PROGRAM, "audit", "verify", *arguments],
        env={**clean, **told, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stdout + ended.stderr


@pytest.fixture
def bundle(server: Mainstay, tmp_path: Path) -> Path:
    """The export of the log as a file."""
    file = tmp_path / "audit.zip"
    file.write_bytes(server.call("GET", "/api/audit-logs?export=bundle").content)
    return file


@pytest.fixture
def folder(bundle: Path) -> Path:
    """The same, unpacked, for whoever wants to change it."""
    unpacked = bundle.with_suffix("")
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(unpacked)
    return unpacked


def test_a_log_that_nobody_touched_verifies_as_a_file_a_folder_and_from_the_server(
    server: Mainstay, bundle: Path, folder: Path
) -> None:
    for arguments in ((bundle,), (folder,), ()):
        code, said = verify(*arguments, server=None if arguments else server)
        assert code == VERIFIES, said
        assert "FAULT" not in said
    code, said = verify(bundle, "--json")
    report = json.loads(said)
    assert (code, report["verified"], report["faults"]) == (VERIFIES, True, [])
    assert report["covered"] == report["last"] >= ROWS


def test_a_checkpoint_that_is_signed_while_the_log_is_on_its_way_is_no_fault(
    server: Mainstay, bundle: Path, tmp_path: Path
) -> None:
    kept, arrived = tmp_path / "kept", threading.Event()
    kept.mkdir()
    administer(server, 1)
    newer = server.get("/api/audit/checkpoints")["checkpoints"][0]["note"]
    with running_http() as slow:
        slow.answer_at("/api/audit-logs", Answer(body=bundle.read_bytes(), held_until=arrived))

        def sign() -> None:
            slow.wait_for(1)
            (kept / "newer.txt").write_text(newer, encoding="utf-8")
            arrived.set()

        signing = threading.Thread(target=sign, daemon=True)
        signing.start()
        code, said = verify("--url", slow.url, "--token", TOKEN, "--checkpoint", kept)
        signing.join()
    assert code == VERIFIES, said

    code, said = verify(bundle, "--checkpoint", kept)
    assert (code, "gone" in said) == (DOES_NOT, True), "what was there before does count"


def changed(lines: Lines) -> Lines:
    (renamed,) = [line for line in lines if b'["N 2","N 3"]' in line]
    return [line.replace(b"N 3", b"N 9") if line == renamed else line for line in lines]


def unreadable(lines: Lines) -> Lines:
    return [*lines[:4], b"{", *lines[5:]]


def removed(lines: Lines) -> Lines:
    return lines[:4] + lines[5:]


def reordered(lines: Lines) -> Lines:
    return [*lines[:4], lines[5], lines[4], *lines[6:]]


def cut_at_the_end(lines: Lines) -> Lines:
    return lines[:-2]


def cut_at_the_beginning(lines: Lines) -> Lines:
    return lines[2:]


def rewritten(lines: Lines) -> Lines:
    """What somebody does who knows the form: every row after the change is chained anew."""
    head, written = "", Lines()
    for line in changed(lines):
        row = json.loads(line)
        row["prevHash"] = head or row["prevHash"]
        body = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        head = leaf_hash(body).hex()
        written.append(body)
    return written


@pytest.mark.parametrize(
    ("tamper", "code"),
    [
        (changed, "row_changed"),
        (unreadable, "row_changed"),
        (removed, "row_missing"),
        (reordered, "row_out_of_order"),
        (cut_at_the_end, "tail_cut"),
        (cut_at_the_beginning, "head_cut"),
        (rewritten, "rows_rewritten"),
    ],
)
def test_each_tampering_is_named_and_ends_with_one(
    folder: Path, tamper: Callable[[Lines], Lines], code: str
) -> None:
    rows = folder / "rows.jsonl"
    rows.write_bytes(b"\n".join(tamper(rows.read_bytes().splitlines())) + b"\n")

    ended, said = verify(folder)
    assert ended == DOES_NOT
    assert f"FAULT {code}" in said
    ended, said = verify(folder, "--json")
    assert ended == DOES_NOT
    assert code in {fault["code"] for fault in json.loads(said)["faults"]}


def test_a_checkpoint_that_another_key_signed_is_named(folder: Path) -> None:
    first, *_ = sorted((folder / "checkpoints").iterdir())
    text = first.read_text()
    first.write_text(text[:-10] + ("A" if text[-10] != "A" else "B") + text[-9:])
    ended, said = verify(folder)
    assert ended == DOES_NOT
    assert "FAULT checkpoint_forged" in said


def test_a_key_that_was_kept_is_believed_and_no_other(folder: Path, bundle: Path) -> None:
    (key,) = (folder / "keys.txt").read_text().split()
    assert verify(bundle, "--key", key)[0] == VERIFIES
    other = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    ended, said = verify(bundle, "--key", other)
    assert ended != VERIFIES, said


def test_what_was_kept_from_a_run_before_shows_what_was_cut_since(
    folder: Path, bundle: Path, tmp_path: Path
) -> None:
    keep = tmp_path / "mine"
    assert verify(bundle, "--keep", keep)[0] == VERIFIES
    assert (keep / "key").read_text().split()
    assert list(keep.glob("*.txt"))
    rows = folder / "rows.jsonl"
    rows.write_bytes(b"\n".join(rows.read_bytes().splitlines()[:-3]) + b"\n")
    for newest in sorted((folder / "checkpoints").iterdir())[-3:]:
        newest.unlink()
    assert verify(folder)[0] == VERIFIES, "alone it cannot know"
    ended, said = verify(folder, "--keep", keep)
    assert ended == DOES_NOT
    assert "FAULT tail_cut" in said


def test_what_is_no_export_is_told_so_and_ends_with_two(tmp_path: Path, folder: Path) -> None:
    text = tmp_path / "notes.zip"
    text.write_text("not a zip file")
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copytree(folder, tmp_path / "keyless")
    (tmp_path / "keyless" / "keys.txt").write_text("")
    for source in (text, empty, tmp_path / "nowhere.zip", tmp_path / "keyless"):
        ended, said = verify(source)
        assert ended == UNREADABLE, said
        assert "cannot be read" in said
    ended, said = verify()
    assert ended == UNREADABLE, said
    assert "MAINSTAY_TOKEN" in said
