"""Exporting: a spreadsheet runs nothing, lines are what was hashed, and a bundle proves itself."""

import csv
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainstay_server.areas.audit.schemas import RowFilter
from mainstay_server.areas.audit.service import exporting
from mainstay_server.areas.audit.service.reading import every_row
from mainstay_server.contracts.tenancy import ProjectRemoved
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import run_waiting, say
from mainstay_server.kernel.problems import NotFound
from tests.areas.audit.worlds import NOON, SHIPS, a_signed_log, bodies, kept, rename, sign

EVERYTHING = RowFilter()


def lines_of(form: str) -> str:
    make = {"csv": exporting.csv_lines, "jsonl": exporting.json_lines}[form]
    return "".join(make(every_row(SHIPS, EVERYTHING, up_to=10**9)))


def test_a_csv_has_one_line_a_row_and_says_what_changed(log: None) -> None:
    rename(2)

    first, second = csv.DictReader(io.StringIO(lines_of("csv")))

    assert (first["position"], second["position"]) == ("1", "2")
    assert first["actor email"] == "alice@ships.example"
    assert json.loads(first["changes"]) == {"name": ["Name 0", "Name 1"]}
    assert len(first["hash"]) == 64


@given(st.text(max_size=40))
def test_no_cell_begins_as_a_formula_does(text: str) -> None:
    cell = exporting.harmless(text)

    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cell in (text, f"'{text}")


def test_a_project_named_as_a_formula_is_harmless_in_the_file(log: None) -> None:
    with transaction() as session:
        name = '=HYPERLINK("https://evil.example")'
        say(session, ProjectRemoved(organization_id=SHIPS, project_id="p", slug=name), now=NOON)
    run_waiting(now=NOON)

    (row,) = csv.DictReader(io.StringIO(lines_of("csv")))
    assert row["target name"] == f"'{name}"


def test_json_lines_are_byte_for_byte_what_was_hashed(log: None) -> None:
    rename(3)

    with reading() as session:
        assert lines_of("jsonl").splitlines() == list(bodies(session))


def test_a_long_file_is_made_in_pieces_and_ends_where_it_was_asked_for(log: None) -> None:
    rename(2300)

    rows = list(every_row(SHIPS, EVERYTHING, up_to=2200))

    assert [each.row.position for each in rows] == list(range(1, 2201))
    assert len(list(exporting.csv_lines(rows))) > 5


def save_bundle(folder: Path) -> Path:
    path = folder / "log.zip"
    with reading() as session, exporting.bundle(session, SHIPS, EVERYTHING, name="log.zip") as file:
        path.write_bytes(file.read())
    return path


def run_python(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A bare Python: no packages, no environment, no folder of ours."""
    return subprocess.run(
        [sys.executable, "-I", "-S", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_bundle_verifies_itself_with_nothing_but_python(log: None, tmp_path: Path) -> None:
    a_signed_log(3, 12)
    path = save_bundle(tmp_path)
    mine = tmp_path / "kept"
    mine.mkdir()
    for name, note in kept().items():
        (mine / name).write_text(note)

    ended = run_python(path, "--checkpoint", mine)

    assert ended.returncode == 0, ended.stderr
    assert "Verified: rows 1 to 12, signed up to 12." in ended.stdout
    assert json.loads(run_python(path, "--json").stdout)["verified"] is True


def test_a_bundle_that_was_changed_says_so_and_one_that_is_none_cannot_be_read(
    log: None, tmp_path: Path
) -> None:
    a_signed_log(3, 12)
    path = save_bundle(tmp_path)
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    rows = folder / "rows.jsonl"
    rows.write_text(rows.read_text().replace("Alice", "Mallory", 1))

    ended = run_python(path, folder)

    assert ended.returncode == 1
    assert "FAULT row_changed: Row 1 was changed: row 2 was chained to another one." in ended.stdout
    assert run_python(path, tmp_path / "nowhere").returncode == 2
    assert run_python(path, rows).returncode == 2


def test_a_bundle_says_how_to_verify_it(log: None, tmp_path: Path) -> None:
    a_signed_log(3)

    with zipfile.ZipFile(save_bundle(tmp_path)) as archive:
        assert "python3 log.zip" in archive.read("README.txt").decode()


def test_before_anything_is_signed_there_is_no_bundle(log: None) -> None:
    rename(3)

    with reading() as session, pytest.raises(NotFound, match="in a minute"):
        exporting.bundle(session, SHIPS, EVERYTHING, name="log.zip")
    sign()
    with reading() as session, pytest.raises(NotFound, match="no rows in that time"):
        exporting.bundle(session, SHIPS, RowFilter(until=NOON), name="log.zip")
