"""Claim: `mainstay sync` takes a tree to a server about as fast as the tools made for nothing else.

The yardsticks take the same tree in the same round: `rsync -a` to a daemon on this machine, which
neither hashes nor keeps versions, and `restic backup` to a folder, which hashes, packs and encrypts
but has no server. Ours goes over HTTP to a Mainstay that checks every chunk and syncs its disk. The
tree has 10,000 small files, of which 30 % are the same as another, and four large ones. A small
change is a hundred files that are written anew and a few bytes put into a large one. Rounds
alternate, and medians are told. The last lines tell what went over the wire.
"""

import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "server"))
from tests.journeys.running import PROGRAM, PROJECT, TOKEN, running_mainstay
from tests.servers.processes import free_port
from typing_extensions import override

ROUNDS = 3
FILES, UNIQUE = 10_000, 7_000
LARGE, LARGE_MIB = 4, 24
MIB = 1 << 20
SETTLED_SECONDS = 1.2  # what was written to a moment ago is read again by the next run
STEPS = ("first push", "nothing changed", "small change")


class Contender:
    """One tool, with a target of its own for each round."""

    name = ""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = {**os.environ, **environment}

    def prepare(self, number: int) -> None:
        """Make an empty target; not measured."""

    def command(self, tree: Path, number: int) -> list[str]:
        """What brings the tree to its target."""
        raise NotImplementedError

    def seconds(self, tree: Path, number: int) -> tuple[float, str]:
        """How long one run takes, and what it told."""
        began = time.perf_counter()
        ended = subprocess.run(
            self.command(tree, number),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
        return time.perf_counter() - began, ended.stdout


class Ours(Contender):
    """`mainstay sync --push`."""

    name = "mainstay sync"

    @override
    def command(self, tree: Path, number: int) -> list[str]:
        return [
            *(str(PROGRAM), "sync", str(tree), "--project", PROJECT),
            *("--folder", f"round-{number}", "--push", "--json"),
        ]


class Rsync(Contender):
    """`rsync -a` to a daemon."""

    name = "rsync"

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(folder, {})
        self._port = port

    @override
    def prepare(self, number: int) -> None:
        (self.folder / "module" / str(number)).mkdir(parents=True)

    @override
    def command(self, tree: Path, number: int) -> list[str]:
        target = f"rsync://127.0.0.1:{self._port}/module/{number}/"
        return ["rsync", "-a", "--delete", "--exclude=/.mainstay", f"{tree}/", target]


class Restic(Contender):
    """`restic backup` to a folder."""

    name = "restic"

    @override
    def prepare(self, number: int) -> None:
        command = ["restic", "-q", "-r", str(self.folder / str(number)), "init"]
        subprocess.run(command, env=self.environment, check=True)

    @override
    def command(self, tree: Path, number: int) -> list[str]:
        repository = str(self.folder / str(number))
        return ["restic", "-q", "-r", repository, "backup", "--exclude", ".mainstay", str(tree)]


@contextmanager
def rsync_daemon(folder: Path) -> Iterator[int]:
    """An rsync daemon with one module below the folder; its port."""
    (folder / "module").mkdir(parents=True)
    port = free_port()
    config = folder / "rsyncd.conf"
    config.write_text(
        f"use chroot = no\n[module]\npath = {folder / 'module'}\nread only = no\n"
        f"uid = {os.getuid()}\ngid = {os.getgid()}\n"
    )
    command = ["rsync", "--daemon", "--no-detach", f"--config={config}", f"--port={port}"]
    daemon = subprocess.Popen([*command, "--address=127.0.0.1"])
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        daemon.terminate()
        daemon.wait()


def make_tree(root: Path, rng: random.Random) -> None:
    words = [rng.randbytes(4).hex() for _ in range(2000)]

    def text(size: int) -> bytes:
        return " ".join(rng.choices(words, k=size // 9)).encode()

    unique = [text(rng.randint(200, 12_000)) for _ in range(UNIQUE)]
    for n in range(FILES):
        folder = root / f"{n % 100:02}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{n}.txt").write_bytes(unique[n % UNIQUE])
    for n in range(LARGE):
        (root / f"large-{n}").write_bytes(rng.randbytes(LARGE_MIB * MIB))


def change(root: Path, rng: random.Random) -> None:
    for n in rng.sample(range(FILES), 100):
        (root / f"{n % 100:02}" / f"{n}.txt").write_bytes(rng.randbytes(5000))
    large = root / "large-0"
    data = large.read_bytes()
    large.write_bytes(data[: 5 * MIB] + rng.randbytes(100) + data[5 * MIB :])


def measure(folder: Path, contenders: list[Contender]) -> dict[str, dict[str, list[float]]]:
    taken: dict[str, dict[str, list[float]]] = {c.name: {s: [] for s in STEPS} for c in contenders}
    wire: dict[str, int] = {}
    for number in range(ROUNDS):
        tree = folder / f"tree-{number}"
        rng = random.Random(number)  # noqa: S311 - the same every time
        make_tree(tree, rng)
        steps: list[tuple[str, Callable[[], None]]] = [
            ("first push", lambda: None),
            ("nothing changed", lambda: None),
            ("small change", lambda tree=tree, rng=rng: change(tree, rng)),  # type: ignore[misc] # bound now
        ]
        for contender in contenders:
            contender.prepare(number)
        for step, before in steps:
            before()
            time.sleep(SETTLED_SECONDS)
            for turn in range(len(contenders)):
                contender = contenders[(turn + number) % len(contenders)]
                seconds, told = contender.seconds(tree, number)
                taken[contender.name][step].append(seconds)
                if isinstance(contender, Ours):
                    wire[step] = json.loads(told)["sentBytes"]
        if number == ROUNDS - 1:
            size = sum(p.stat().st_size for p in tree.rglob("*") if p.is_file())
            print(f"the tree: {size / MIB:.0f} MiB, {FILES + LARGE:,} files")
        shutil.rmtree(tree)
    for step, sent in wire.items():
        print(f"{step}: {sent / MIB:.2f} MiB of chunks went over the wire")
    return taken


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="mainstay-sync-") as name:
        folder = Path(name)
        with running_mainstay() as server, rsync_daemon(folder / "rsync") as port:
            (folder / "restic").mkdir()
            told = {"MAINSTAY_URL": server.url, "MAINSTAY_TOKEN": TOKEN}
            secret = {"RESTIC_PASSWORD": "benchmark", "RESTIC_CACHE_DIR": str(folder / "cache")}
            contenders = [
                Ours(folder / "ours", told),
                Rsync(folder / "rsync", port),
                Restic(folder / "restic", secret),
            ]
            taken = measure(folder, contenders)
    for step in STEPS:
        medians = {name: statistics.median(taken[name][step]) for name in taken}
        ours = medians["mainstay sync"]
        line = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in medians.items())
        print(f"{step}: {line}")
        for name in ("rsync", "restic"):
            print(f"{step}: takes {ours / medians[name]:.2f} of the time of {name}")


if __name__ == "__main__":
    main()
