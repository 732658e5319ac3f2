"""All of Mainstay is lost, and comes back from one copy by what its recovery sheet says."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.running import PROJECT, Mainstay, running_mainstay
from tests.servers.processes import free_port, required_program
from tests.waiting import eventually

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parents[3] / "wire" / "envelope" / "full.txt"
SECRET = "only-the-operator-knows-this"


def made(mainstay: Mainstay, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = mainstay.call("POST", path, json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def titles(mainstay: Mainstay) -> list[str]:
    found = mainstay.get(f"/api/instances/{mainstay.instance_id}/errors?status=unresolved")
    return [each["title"] for each in found["errors"]]


def follow(sheet: str, folder: Path) -> None:
    """Do what is printed, but for installing what is there and starting the server."""
    printed = re.findall(r"^    (.*)$", sheet, re.MULTILINE)
    assert printed[0].startswith("apt-get install age zstd")
    assert printed[-1] == "mainstay up --data-dir data"
    for line in printed[1:-1]:
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            cwd=folder,
            env={"PATH": os.environ["PATH"]},
            check=True,
        )


def test_a_lost_server_comes_back_with_all_it_knew(tmp_path: Path) -> None:
    for program in ("age", "zstd"):
        required_program(program, package=program)
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {
        "MAINSTAY_BACKUP_ITSELF_SECRET": SECRET,
        "MAINSTAY_BACKUP_FOLDERS": str(elsewhere),
    }
    with running_mainstay(environment, data_dir=data) as mainstay:
        key = mainstay.project["ingestKey"]
        number = mainstay.project["number"]
        path = f"/api/{number}/envelope/?sentry_key={key}"
        assert mainstay.ask("POST", path, content=GOLDEN.read_bytes()).is_success
        before = eventually(lambda: titles(mainstay))
        place = made(
            mainstay,
            f"/api/projects/{PROJECT}/backup-destinations",
            {"name": "elsewhere", "kind": "folder", "url": f"file://{elsewhere}"},
        )
        target = made(
            mainstay,
            f"/api/instances/{mainstay.instance_id}/backup-targets",
            {
                "name": "Mainstay",
                "engine": "mainstay",
                "config": {"secret": SECRET},
                "destinationIds": [place["id"]],
                "newKey": "kept",
            },
        )
        backups = f"/api/backup-targets/{target['id']}/backups"
        backup = eventually(
            lambda: next(
                (
                    each
                    for each in mainstay.get(backups)["backups"]
                    if each["status"] in {"succeeded", "failed"}
                ),
                None,
            )
        )
        assert backup["status"] == "succeeded", backup["reason"]
        drill = eventually(
            lambda: next(
                (
                    each
                    for each in mainstay.get(f"/api/backups/{backup['id']}/drills")["drills"]
                    if each["status"] in {"passed", "failed"}
                ),
                None,
            )
        )
        assert (drill["status"], drill["opened"], drill["differences"]) == ("passed", True, [])
        sheet = mainstay.call("GET", f"/api/backups/{backup['id']}/recovery-sheet").text
    assert str(elsewhere) in sheet
    shutil.rmtree(data)

    (copy,) = elsewhere.rglob(f"*{backup['id']}.tar.zst.age")
    new = tmp_path / "new machine"
    new.mkdir()
    shutil.copy(copy, new)
    (new / "key.txt").write_text(target["secretKey"])
    follow(sheet, new)

    back = {**environment, "MAINSTAY_PORT": str(free_port())}
    with running_mainstay(back, data_dir=new / "data") as mainstay:
        assert titles(mainstay) == before
        seen = mainstay.get(f"/api/backups/{backup['id']}")
        assert seen["status"] in {"running", "failed"}, "it was under way in its own copy"
