"""`mainstay sync` and `mainstay link`: the real program, two machines, a real server between."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mainstay_cli.syncing.transfers import REQUEST_BYTES, REQUESTS_AT_ONCE
from tests.full_disks import fill
from tests.journeys.running import PROJECT, TOKEN, Mainstay, running_mainstay
from tests.journeys.test_full_disk import small_disk
from tests.servers.counting import CountingProxy, counting_proxy
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

PROGRAM = Path(sys.executable).parent / "mainstay"
PART_BYTES = REQUEST_BYTES * REQUESTS_AT_ONCE
MIB = 1 << 20
FILES = 10_000
FILES_UNIQUE = 7_000
LONG_AGO = 1_700_000_000


@pytest.fixture(scope="module")
def server() -> Iterator[Mainstay]:
    with running_mainstay() as started:
        yield started


class Machine:
    """One folder of one machine, synced by the real program."""

    def __init__(self, root: Path, url: str, folder: str, token: str = TOKEN) -> None:
        self.root, self.folder = root, folder
        self.url, self.token = url, token
        root.mkdir(exist_ok=True)

    def start(self, *options: str) -> "subprocess.Popen[str]":
        ours = ("MAINSTAY_", "_MAINSTAY")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        told = {"MAINSTAY_URL": self.url, "MAINSTAY_TOKEN": self.token}
        return subprocess.Popen(
            [
                *(PROGRAM, "sync", self.root, "--project", PROJECT),
                *("--folder", self.folder, "--machine", self.root.name, *options),
            ],
            env={**clean, **told, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def try_sync(self, *options: str) -> "subprocess.CompletedProcess[str]":
        process = self.start(*options)
        out, err = process.communicate(timeout=PATIENCE_SECONDS * 3)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def sync(self, *options: str) -> dict[str, Any]:
        """Sync, which must go well; returns the report."""
        ended = self.try_sync("--json", *options)
        assert ended.returncode == 0, ended.stderr
        report: dict[str, Any] = json.loads(ended.stdout)
        return report

    def files(self) -> dict[str, bytes | str]:
        """What is in the folder: contents, and targets of links."""
        found: dict[str, bytes | str] = {}
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if name.split("/", maxsplit=1)[0] == ".mainstay":
                continue
            if path.is_symlink():
                found[name] = str(path.readlink())
            elif path.is_file():
                found[name] = path.read_bytes()
            elif not any(path.iterdir()):
                found[f"{name}/"] = b""
        return found


@pytest.fixture
def laptop(server: Mainstay, tmp_path: Path, request: pytest.FixtureRequest) -> Machine:
    return Machine(tmp_path / "laptop", server.url, folder_of(request))


@pytest.fixture
def desk(server: Mainstay, tmp_path: Path, request: pytest.FixtureRequest) -> Machine:
    return Machine(tmp_path / "desk", server.url, folder_of(request))


def folder_of(request: pytest.FixtureRequest) -> str:
    return hashlib.sha256(request.node.name.encode()).hexdigest()[:20]


def a_tree(root: Path) -> None:
    """A small tree of everything that is kept."""
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/text.txt").write_text("hello")
    (root / "a/large").write_bytes(random.Random(1).randbytes(3 * MIB))
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "nothing in it").touch()
    (root / "empty").mkdir()
    (root / "to").symlink_to("a/b/text.txt")
    (root / "out").symlink_to("/etc")
    (root / "odd\nname é 'x' \\").write_text("odd")
    os.utime(root / "run.sh", ns=(10**18 + 123_456_000, 10**18 + 123_456_000))


def test_what_one_machine_has_the_other_gets_with_modes_times_and_links(
    laptop: Machine, desk: Machine
) -> None:
    a_tree(laptop.root)
    assert laptop.sync()["sent"] == 8
    assert desk.sync()["received"] == 8
    assert desk.files() == laptop.files()
    about = (desk.root / "run.sh").stat()
    assert (about.st_mode & 0o777, about.st_mtime_ns) == (0o755, 10**18 + 123_456_000)
    for machine in (laptop, desk):
        report = machine.sync()
        assert (report["sent"], report["received"], report["sentBytes"]) == (0, 0, 0)

    (desk.root / "a/large").rename(desk.root / "moved")
    shutil.rmtree(desk.root / "empty")
    (desk.root / "run.sh").chmod(0o644)
    report = desk.sync()
    assert (report["sentBytes"], report["removedThere"]) == (0, 2), "nobody sends it again"
    laptop.sync()
    assert laptop.files() == desk.files()


def test_ten_thousand_files_of_which_a_third_are_the_same_send_only_what_is_unique(
    server: Mainstay, laptop: Machine
) -> None:
    rng = random.Random(7)
    unique = [rng.randbytes(rng.randint(100, 8000)) for _ in range(FILES_UNIQUE)]
    for n in range(FILES):
        folder = laptop.root / f"{n % 50}"
        folder.mkdir(exist_ok=True)
        file = folder / f"{n}.bin"
        file.write_bytes(unique[n % FILES_UNIQUE])
        os.utime(file, (LONG_AGO, LONG_AGO))  # what has just changed is read once more
    payload = sum(map(len, unique))
    lines = sum(len(f"{'0' * 64} {len(data)} {len(data)}\n") for data in unique)
    with counting_proxy(server.url) as proxy:
        laptop.url = proxy.url
        report = laptop.sync()
        assert (report["sent"], report["sentBytes"]) == (FILES, payload + lines)
        # Beside them: each digest once in a question and once in the tree, with its path.
        assert payload < proxy.sent_bytes < payload + lines + FILES * 160
        before = proxy.sent_bytes
        laptop.url = proxy.url
        report = laptop.sync()
        assert (report["sent"], report["readBytes"]) == (0, 0)
        assert proxy.sent_bytes - before < 10_000


@pytest.mark.parametrize("moment", [0.2, 0.5, 0.8])
def test_killed_in_the_middle_and_run_again_it_sends_less_than_a_part_twice(
    server: Mainstay, laptop: Machine, desk: Machine, moment: float
) -> None:
    rng = random.Random(moment)
    for n in range(400):
        (laptop.root / f"{n}").write_bytes(rng.randbytes(rng.randint(1000, 60_000)))
    (laptop.root / "large").write_bytes(rng.randbytes(24 * MIB))
    payload = sum(path.stat().st_size for path in laptop.root.iterdir())
    with counting_proxy(server.url) as proxy:
        laptop.url = proxy.url
        kill_when_it_sent(proxy, laptop, int(payload * moment))
        before_its_end = proxy.sent_bytes
        assert before_its_end < payload
        proxy.hold_after = 1 << 62
        laptop.sync()
        assert proxy.sent_bytes < payload + PART_BYTES, "more than a part was sent twice"
    desk.sync()
    assert desk.files() == laptop.files()


def kill_when_it_sent(proxy: CountingProxy, machine: Machine, count: int) -> None:
    proxy.hold_after = count
    process = machine.start()
    assert proxy.holding.wait(PATIENCE_SECONDS), process.communicate()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE_SECONDS)


def test_killed_while_it_receives_every_file_is_whole_or_not_there(
    laptop: Machine, desk: Machine
) -> None:
    rng = random.Random(3)
    for n in range(3000):
        (laptop.root / f"{n}").write_bytes(rng.randbytes(rng.randint(1, 9000)))
    laptop.sync()
    process = desk.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(list(desk.root.iterdir())) < 200 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.communicate(timeout=PATIENCE_SECONDS)
    there, here = laptop.files(), desk.files()
    assert 200 <= len(here) < len(there)
    assert here.items() <= there.items()
    desk.sync()
    assert desk.files() == there
    assert list((desk.root / ".mainstay/incoming").iterdir()) == []


def test_two_machines_that_edit_the_same_file_both_keep_both(
    laptop: Machine, desk: Machine
) -> None:
    (laptop.root / "plan.txt").write_text("of both")
    (laptop.root / "removed here").write_text("1")
    laptop.sync()
    desk.sync()
    (laptop.root / "plan.txt").write_text("of the laptop")
    (laptop.root / "removed here").unlink()
    (desk.root / "plan.txt").write_text("of the desk")
    (desk.root / "removed here").write_text("but changed there")
    laptop.sync()
    told = desk.try_sync()
    assert told.returncode == 0
    assert "Both sides changed plan.txt; ours is plan (conflict desk).txt." in told.stderr
    laptop.sync()
    assert (
        laptop.files()
        == desk.files()
        == {
            "plan.txt": b"of the laptop",
            "plan (conflict desk).txt": b"of the desk",
            "removed here": b"but changed there",
        }
    )


def test_an_empty_disk_removes_nothing_unless_it_is_meant(laptop: Machine, desk: Machine) -> None:
    a_tree(laptop.root)
    laptop.sync()
    desk.sync()
    for child in laptop.root.iterdir():
        if child.name != ".mainstay":
            shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()
    refused = laptop.try_sync()
    assert refused.returncode == 2
    assert "files in the folder on the server would be removed" in refused.stderr
    assert "--allow-deletes" in refused.stderr
    assert desk.sync()["removedHere"] == 0
    assert laptop.sync("--allow-deletes")["removedThere"] == 8
    assert desk.try_sync().returncode == 2
    desk.sync("--allow-deletes")
    assert desk.files() == {}


def test_a_dry_run_tells_the_plan_and_does_nothing(
    server: Mainstay, laptop: Machine, desk: Machine
) -> None:
    a_tree(laptop.root)
    told = laptop.try_sync("--dry-run")
    assert told.returncode == 0
    assert "send  a/b/text.txt" in told.stdout
    assert "8 would be sent" in told.stdout
    assert server.call("GET", f"/api/projects/{PROJECT}/sync-folders/{laptop.folder}").is_error
    laptop.sync()
    assert "receive  a/b/text.txt" in desk.try_sync("--dry-run").stdout
    assert desk.files() == {}


def test_only_pushing_and_only_pulling_leave_the_other_side_alone(
    laptop: Machine, desk: Machine
) -> None:
    (laptop.root / "a").write_text("1")
    (desk.root / "b").write_text("2")
    laptop.sync()
    assert desk.sync("--pull")["received"] == 1
    laptop.sync()
    assert laptop.files() == {"a": b"1"}, "b was not sent"
    (laptop.root / "c").write_text("3")
    laptop.sync()
    desk.sync("--push")
    assert desk.files() == {"a": b"1", "b": b"2"}, "c was not taken"
    laptop.sync()
    desk.sync()
    assert laptop.files() == desk.files() == {"a": b"1", "b": b"2", "c": b"3"}


def test_what_is_ignored_stays_on_its_machine(laptop: Machine, desk: Machine) -> None:
    (laptop.root / "kept").write_text("1")
    (laptop.root / "cache").mkdir()
    (laptop.root / "cache/x").write_text("2")
    (laptop.root / ".mainstayignore").write_text("cache/\n")
    laptop.sync()
    (desk.root / "cache").mkdir()
    (desk.root / "cache/y").write_text("3")
    desk.sync()
    assert set(desk.files()) == {"kept", ".mainstayignore", "cache/y"}
    laptop.sync()
    assert set(laptop.files()) == {"kept", ".mainstayignore", "cache/x"}


def test_a_token_that_may_only_read_takes_and_sends_nothing(
    server: Mainstay, laptop: Machine, desk: Machine
) -> None:
    (laptop.root / "a").write_text("1")
    laptop.sync()
    body = {"name": "reads", "scopes": ["project:read"]}
    desk.token = server.call("POST", "/api/tokens", json=body).json()["token"]
    assert desk.sync("--pull")["received"] == 1
    (desk.root / "b").write_text("2")
    refused = desk.try_sync()
    assert refused.returncode == 2
    assert "lacks the scope project:write" in refused.stderr


def test_a_full_disk_is_an_honest_refusal_and_heals(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "small") as small,
        running_mainstay({"MAINSTAY_BLOBS_URL": f"file://{small}/blobs"}) as server,
    ):
        laptop = Machine(tmp_path / "laptop", server.url, "reports")
        (laptop.root / "large").write_bytes(random.Random(1).randbytes(20 * MIB))
        fill(small / "filler")
        refused = laptop.try_sync()
        assert refused.returncode == 2
        assert "The server's disk is full" in refused.stderr
        (small / "filler").unlink()
        assert laptop.sync()["sent"] == 1


def test_a_folder_is_synced_by_one_run_at_a_time(server: Mainstay, laptop: Machine) -> None:
    (laptop.root / "large").write_bytes(random.Random(1).randbytes(20 * MIB))
    with counting_proxy(server.url) as proxy:
        laptop.url = proxy.url
        proxy.hold_after = 5 * MIB
        process = laptop.start()
        assert proxy.holding.wait(PATIENCE_SECONDS)
        second = laptop.try_sync()
        process.kill()
        process.communicate(timeout=PATIENCE_SECONDS)
    assert second.returncode == 2
    assert "is being synced already" in second.stderr


def mainstay(server: Mainstay, cwd: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    ours = ("MAINSTAY_", "_MAINSTAY")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    told = {"MAINSTAY_URL": server.url, "MAINSTAY_TOKEN": TOKEN}
    return subprocess.run(
        [PROGRAM, *words],
        env={**clean, **told, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_a_linked_folder_tells_verbs_its_project_from_anywhere_below(
    server: Mainstay, tmp_path: Path
) -> None:
    below = tmp_path / "app/deep"
    below.mkdir(parents=True)
    lost = mainstay(server, tmp_path, "keys", "list")
    assert lost.returncode == 2
    assert "mainstay link" in lost.stderr
    linked = mainstay(server, tmp_path, "link", PROJECT, "--folder", "linked")
    assert linked.returncode == 0, linked.stderr
    assert TOKEN not in (tmp_path / ".mainstay.toml").read_text()
    assert server.url not in (tmp_path / ".mainstay.toml").read_text()
    shown = mainstay(server, below, "link", "--show", "--json")
    assert json.loads(shown.stdout) == {
        "project": PROJECT,
        "environment": "production",
        "folder": "linked",
        "file": str(tmp_path / ".mainstay.toml"),
    }
    assert mainstay(server, below, "keys", "list").returncode == 0
    assert mainstay(server, below, "keys", "list", "--project", "nowhere").returncode == 2
    assert mainstay(server, below, "sync", ".", "--dry-run").stdout.startswith("linked:")
    assert mainstay(server, below, "link", "--remove").returncode == 2, "it is not in this folder"
    assert mainstay(server, tmp_path, "link", "--remove").returncode == 0
    assert not (tmp_path / ".mainstay.toml").exists()


def test_a_link_to_what_is_not_there_is_refused_and_a_broken_one_named(
    server: Mainstay, tmp_path: Path
) -> None:
    refused = mainstay(server, tmp_path, "link", "nowhere")
    assert refused.returncode == 2
    assert "nowhere" in refused.stderr
    assert mainstay(server, tmp_path, "link", PROJECT, "--environment", "moon").returncode == 2
    assert not (tmp_path / ".mainstay.toml").exists()
    (tmp_path / ".mainstay.toml").write_text('project = "../../api/tokens?x="\n')
    broken = mainstay(server, tmp_path, "keys", "list")
    assert broken.returncode == 2
    assert ".mainstay.toml" in broken.stderr
