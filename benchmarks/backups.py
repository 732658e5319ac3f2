"""Claim: a copy costs what the plain tools cost, in little memory whatever its size.

The yardstick is `SOURCE | zstd -3 | age -r …`, and its reverse. The source is a half-random file
on a memory disk, which costs nothing to read and so shows what sealing costs alone, and then
`pg_dump -Fc -Z0` of a database, as in a backup, and `pg_restore` of it, as in a restore. The
contender also takes the SHA-256 of the sealed file; a second line lets the plain tools do that as
well. Rounds alternate, so a busy machine slows both. Memory is that of the contender's processes
together, sampled, at one and at four times the file.
"""

import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psutil
from mainstay_server.kernel.copies.running import Reading, ReadPlan, WritePlan, Writing
from pyrage import x25519

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "server"))
from tests.servers.postgres import (
    PostgresServer,
    running_postgres,
)

ROUNDS = 5
MIB = 1 << 20
SIZE_MIB = 256
ROWS = 1_500_000
SAMPLE_SECONDS = 0.02
COPY = "shop/one.dump.zst.age"
MEMORY_DISK = Path("/dev/shm")  # noqa: S108 - our own folder in it


class Memory:
    """The most that a process and those it started had at once, in MiB."""

    def __init__(self, pid: int) -> None:
        self.peak_mib = 0.0
        self._process = psutil.Process(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        self._over.set()
        self._thread.join()
        return self.peak_mib

    def _sample(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            try:
                family = [self._process, *self._process.children(recursive=True)]
                now = sum(each.memory_full_info().uss for each in family)
            except psutil.Error:
                continue
            self.peak_mib = max(self.peak_mib, now / MIB)


def seconds_of(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def shell(line: str) -> None:
    subprocess.run(["bash", "-euo", "pipefail", "-c", line], check=True)  # noqa: S607


class Bench:
    """A file, a key pair, and both ways to seal and open it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._url = f"file://{folder}/copies"
        identity = x25519.Identity.generate()
        self._secret, self._public = str(identity), str(identity.to_public())
        (folder / "key").write_text(self._secret)
        self.file = folder / "dump"
        with self.file.open("wb") as out:
            for n in range(SIZE_MIB):
                row = hashlib.sha256(b"%d" % n).hexdigest().encode() + b" a row of a table\n"
                out.write(os.urandom(MIB // 2) + (row * (MIB // 2 // len(row) + 1))[: MIB // 2])

    def seal_plainly(self, source: str) -> None:
        shell(f"{source} | zstd -q -3 | age -r {self._public} > {self._folder}/plain.age")

    def seal_and_hash_plainly(self, source: str) -> None:
        hashed = "tee >(sha256sum > /dev/null)"
        shell(
            f"{source} | zstd -q -3 | age -r {self._public} | {hashed} > {self._folder}/plain.age"
        )

    def open_plainly(self) -> None:
        key, target = self._folder / "key", self._folder / "back"
        shell(f"age -d -i {key} {self._folder}/plain.age | zstd -q -dc | cat > {target}")

    def seal(self, source: str) -> float:
        plan = WritePlan(COPY, {"disk": self._url}, [self._public])
        with ExitStack() as ends:
            dump = subprocess.Popen(["bash", "-c", f"exec {source}"], stdout=subprocess.PIPE)  # noqa: S607
            ends.enter_context(dump)
            assert dump.stdout is not None
            writing = ends.enter_context(Writing(plan, plain=dump.stdout))
            memory = Memory(writing.pid)
            for _ in writing:
                pass
            assert dump.wait() == 0
            assert writing.show(key="shop/one.manifest.json", data=b"{}") == {"disk": None}
            return memory.stop()

    def open(self) -> None:
        plan = ReadPlan(COPY, self._url, [self._secret])
        with (self._folder / "back").open("wb") as back, Reading(plan, into=back) as reading:
            assert reading.found().plain_bytes is not None

    def restore(self, target: str) -> None:
        plan = ReadPlan(COPY, self._url, [self._secret])
        with subprocess.Popen(["bash", "-c", target], stdin=subprocess.PIPE) as tool:  # noqa: S607
            with Reading(plan, into=tool.stdin) as reading:
                assert reading.found().plain_bytes is not None
            assert tool.stdin is not None
            tool.stdin.close()
            assert tool.wait() == 0

    def restore_plainly(self, target: str) -> None:
        shell(f"age -d -i {self._folder}/key {self._folder}/plain.age | zstd -q -dc | {target}")


def compare(what: str, ours: Callable[[], object], theirs: Callable[[], object]) -> None:
    """Let them take turns, and say how many times as long the plain tools took."""
    both = [(seconds_of(ours), seconds_of(theirs)) for _ in range(ROUNDS)]
    each = sorted(their / our for our, their in both)
    mine, plain = (statistics.median(times) for times in zip(*both, strict=True))
    print(f"{what}: {mine:.2f} s, plain tools {plain:.2f} s", end="; ")
    print(f"ratio {statistics.median(each):.2f} ({each[0]:.2f} to {each[-1]:.2f})", flush=True)


def filled(postgres: PostgresServer) -> str:
    """A database of about a fifth of a gigabyte; returns the command that dumps it."""
    dsn = postgres.dsn_of(postgres.new_database())
    rows = "SELECT n AS id, md5(n::text) AS a, repeat(md5((n % 99)::text), 2) AS b, now() AS at"
    subprocess.run(
        ["psql", "-q", dsn, "-c", f"CREATE TABLE t AS {rows} FROM generate_series(1, {ROWS}) n"],  # noqa: S607
        check=True,
    )
    return f"pg_dump -Fc -Z0 {dsn}"


def main() -> None:
    missing = [name for name in ("age", "zstd") if shutil.which(name) is None]
    if missing:
        sys.exit(f"Install {' and '.join(missing)}: apt-get install {' '.join(missing)}")
    place = MEMORY_DISK if MEMORY_DISK.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="mainstay-copies-", dir=place) as folder:
        bench = Bench(Path(folder))
        cat = f"cat {bench.file}"
        compare("seal a file", lambda: bench.seal(cat), lambda: bench.seal_plainly(cat))
        compare(
            "seal a file, hashed",
            lambda: bench.seal(cat),
            lambda: bench.seal_and_hash_plainly(cat),
        )
        compare("open it", bench.open, bench.open_plainly)
        once, more = bench.seal(cat), bench.seal(f"{cat} {f'{bench.file} ' * 3}")
        print(f"peak memory: {once:.0f} MiB for {SIZE_MIB} MiB, {more:.0f} MiB for four times that")
        with running_postgres() as postgres:
            dump = filled(postgres)
            compare("dump and seal", lambda: bench.seal(dump), lambda: bench.seal_plainly(dump))
            into = f"pg_restore --exit-on-error --clean -d {dump.rpartition(' ')[2]}"
            compare(
                "open and restore",
                lambda: bench.restore(into),
                lambda: bench.restore_plainly(into),
            )


if __name__ == "__main__":
    main()
