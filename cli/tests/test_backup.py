"""`mainstay backup` and `mainstay restore` as scripts use them: the program against a server."""

import json
import os
import pty
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.running import PROJECT, TOKEN, Mainstay, running_mainstay

pytestmark = pytest.mark.slow

PROGRAM = Path(sys.executable).parent / "mainstay"
PATIENCE_SECONDS = 180


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the database of an app, and a file beside it."""
    folder = tmp_path_factory.mktemp("app")
    with closing(sqlite3.connect(folder / "orders.db")) as database:
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, what TEXT)")
        database.execute("INSERT INTO orders (what) VALUES ('a boat')")
        database.commit()
    (folder / "letters").mkdir()
    (folder / "letters" / "first.txt").write_text("Dear all")
    return folder


@pytest.fixture(scope="module")
def server(app: Path) -> Iterator[Mainstay]:
    with running_mainstay({"MAINSTAY_BACKUP_FOLDERS": str(app)}) as started:
        for name, engine, path, key in (
            ("orders", "sqlite", app / "orders.db", "kept"),
            ("letters", "files", app / "letters", "shown"),
        ):
            body = {"name": name, "engine": engine, "config": {"path": str(path)}, "newKey": key}
            quiet = {"enabled": False, "drills": "off"}
            path_of_targets = f"/api/instances/{started.instance_id}/backup-targets"
            answer = started.call("POST", path_of_targets, json=body | quiet)
            assert answer.status_code == 201, answer.text
        yield started


def mainstay(
    server: Mainstay, *arguments: str, keyboard: int = subprocess.DEVNULL
) -> "subprocess.CompletedProcess[str]":
    """Run the program about the project, with nobody at the keyboard unless one is given."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAINSTAY_", "_MAINSTAY"))}
    told = {"MAINSTAY_URL": server.url, "MAINSTAY_TOKEN": TOKEN}
    return subprocess.run(
        [PROGRAM, *arguments, "--project", PROJECT],
        env={**clean, **told, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "220"},
        stdin=keyboard,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def told(server: Mainstay, *arguments: str) -> Any:
    """What a command tells machines, which must go well."""
    ended = mainstay(server, *arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def what_is_ordered(app: Path) -> list[str]:
    with closing(sqlite3.connect(app / "orders.db")) as database:
        return [what for (what,) in database.execute("SELECT what FROM orders ORDER BY id")]


def test_everything_is_backed_up_seen_through_proven_and_restored(
    server: Mainstay, app: Path
) -> None:
    made = told(server, "backup", "full", "--wait")["backups"]
    assert [each["targetName"] for each in made] == ["letters", "orders"]
    assert {each["status"] for each in made} == {"succeeded"}
    only = told(server, "backup", "database", "--wait")["backups"]
    assert [each["targetName"] for each in only] == ["orders"]
    backup = only[0]["id"]

    drilled = mainstay(server, "backup", "drill", backup)
    assert drilled.returncode == 0, drilled.stderr
    assert "passed" in drilled.stdout
    assert mainstay(server, "backup", "verify", "latest", "--target", "orders").returncode == 0
    listed = mainstay(server, "backup", "list", "--target", "orders").stdout
    assert backup in listed
    assert "1 of 1" in listed
    targets = mainstay(server, "backup", "targets").stdout
    for words in ("orders", "letters", str(app / "orders.db"), "succeeded"):
        assert words in targets

    with closing(sqlite3.connect(app / "orders.db")) as database:
        database.execute("DELETE FROM orders")
        database.commit()
    refused = mainstay(server, "restore", "latest-verified", "--target", "orders", "--yes")
    assert refused.returncode == 2
    assert "is not empty; add --overwrite" in refused.stderr
    assert what_is_ordered(app) == []
    restored = mainstay(
        server, "restore", "latest-verified", "--target", "orders", "--yes", "--overwrite"
    )

    assert restored.returncode == 0, restored.stderr + restored.stdout
    assert "succeeded" in restored.stdout
    assert "What was there before is in backup" in restored.stdout
    assert what_is_ordered(app) == ["a boat"]


def test_somebody_at_a_keyboard_is_asked_step_by_step(server: Mainstay, app: Path) -> None:
    told(server, "backup", "run", "orders", "--wait")
    before = what_is_ordered(app)
    keyboard, terminal = pty.openpty()
    try:
        os.write(keyboard, b"\n" + b"orders\n")  # the backup that is suggested, and meant
        ended = mainstay(server, "restore", "--target", "orders", keyboard=terminal)
    finally:
        os.close(keyboard)
        os.close(terminal)

    assert ended.returncode == 0, ended.stderr
    assert "Which backup" in ended.stderr + ended.stdout
    assert "What is there now is backed up and then removed." in ended.stderr
    assert what_is_ordered(app) == before


def test_the_sheet_is_printed_or_kept(server: Mainstay, tmp_path: Path) -> None:
    told(server, "backup", "run", "letters", "--wait")
    printed = mainstay(server, "backup", "sheet", "latest", "--target", "letters")
    page = tmp_path / "sheet.html"
    kept = mainstay(
        server, "backup", "sheet", "latest", "--target", "letters", "--html", "--out", str(page)
    )

    assert "age --decrypt" in printed.stdout
    assert "tar --extract" in printed.stdout
    assert kept.stdout == ""
    assert page.read_text().startswith("<!doctype html>")


def test_the_cleanup_says_first_what_it_would_do(server: Mainstay) -> None:
    told(server, "backup", "full", "--wait")
    dry = told(server, "backup", "cleanup", "--dry-run")

    assert dry["dryRun"] is True
    fates = [each for target in dry["targets"].values() for each in target]
    assert fates
    assert all(each["reasons"] for each in fates), "all of them are of the last 30 days"
    shown = mainstay(server, "backup", "cleanup", "--dry-run", "--target", "orders").stdout
    assert "newest" in shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["backup", "run", "nobody"], "There is no target 'nobody'; there is: letters, orders."),
        (["backup", "export"], "Nothing of that kind is backed up here"),
        (["backup", "show", "latest"], "Say which --target is meant"),
        (["backup", "show", "yesterday"], "is no id of a backup"),
        (["backup", "show", "0" * 36], "no such thing"),
        (["backup", "list", "--environment", "moon"], "has no environment 'moon'"),
        (["restore"], "Say which backup and --yes"),
        (["restore", "latest", "--target", "letters", "--yes", "--to", "x"], "--to is no JSON"),
    ],
)
def test_what_is_refused_is_2_and_a_sentence(
    server: Mainstay, arguments: list[str], sentence: str
) -> None:
    ended = mainstay(server, *arguments)

    assert ended.returncode == 2, ended.stdout
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_restore_without_a_key_is_refused_and_one_elsewhere_is_compared(
    server: Mainstay, app: Path
) -> None:
    told(server, "backup", "full", "--wait")
    there = json.dumps({"path": str(app / "elsewhere")})
    arguments = ("restore", "latest", "--target", "letters", "--yes", "--to", there)

    keyless = mainstay(server, *arguments)

    assert keyless.returncode == 2
    assert "needs a secret key" in keyless.stderr
    copy = json.dumps({"path": str(app / "copy.db")})
    other = mainstay(server, "restore", "latest", "--target", "orders", "--yes", "--to", copy)
    assert other.returncode == 0, other.stderr
    assert (app / "copy.db").exists()


def test_a_failed_backup_is_1_with_its_reason(server: Mainstay, app: Path) -> None:
    (app / "letters").rename(app / "moved")
    try:
        ended = mainstay(server, "backup", "run", "letters", "--wait")
    finally:
        (app / "moved").rename(app / "letters")

    assert ended.returncode == 1
    assert "failed" in ended.stdout
    assert "letters:" in ended.stderr
