"""Claim: a copy costs what the plain tools cost, in little memory whatever its size.

The yardstick is `cat FILE | zstd -3 | age -r …` and its reverse, on the same half-random file on a
memory disk. The contender also hashes three streams, counts them, and writes temporary file, fsync
and rename. Rounds alternate, so a busy machine slows both. Memory is that of the contender's
processes together, sampled, at one and at four times the file.
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

ROUNDS = 2
MIB = 1 << 20
SIZE_MIB = 1024
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

    def seal_plainly(self) -> None:
        shell(f"cat {self.file} | zstd -q -3 | age -r {self._public} > {self._folder}/plain.age")

    def open_plainly(self) -> None:
        key, target = self._folder / "key", self._folder / "back"
        shell(f"age -d -i {key} {self._folder}/plain.age | zstd -q -dc | cat > {target}")

    def seal(self, *, times: int = 1) -> float:
        plan = WritePlan(COPY, {"disk": self._url}, [self._public])
        with ExitStack() as ends:
            source = ends.enter_context(
                subprocess.Popen(["cat", *[str(self.file)] * times], stdout=subprocess.PIPE)  # noqa: S607
            )
            assert source.stdout is not None
            writing = ends.enter_context(Writing(plan, plain=source.stdout))
            memory = Memory(writing.pid)
            for _ in writing:
                pass
            assert writing.commit(key="shop/one.manifest.json", data=b"{}") == {"disk": None}
            return memory.stop()

    def open(self) -> None:
        plan = ReadPlan(COPY, self._url, [self._secret])
        with (self._folder / "back").open("wb") as back, Reading(plan, into=back) as reading:
            assert reading.found().plain is not None


def ratios(ours: list[float], theirs: list[float], *, what: str) -> None:
    each = sorted(t / o for o, t in zip(ours, theirs, strict=True))
    mine, their = (SIZE_MIB / statistics.median(times) for times in (ours, theirs))
    print(f"{what}: {mine:,.0f} MiB/s, plain tools {their:,.0f} MiB/s", end="; ")
    print(f"ratio {statistics.median(each):.2f} ({each[0]:.2f} to {each[-1]:.2f})")


def main() -> None:
    missing = [name for name in ("age", "zstd") if shutil.which(name) is None]
    if missing:
        sys.exit(f"Install {' and '.join(missing)}: apt-get install {' '.join(missing)}")
    place = MEMORY_DISK if MEMORY_DISK.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="mainstay-copies-", dir=place) as folder:
        bench = Bench(Path(folder))
        sealing: tuple[list[float], list[float]] = ([], [])
        opening: tuple[list[float], list[float]] = ([], [])
        for _ in range(ROUNDS):
            sealing[0].append(seconds_of(bench.seal))
            sealing[1].append(seconds_of(bench.seal_plainly))
            opening[0].append(seconds_of(bench.open))
            opening[1].append(seconds_of(bench.open_plainly))
        ratios(*sealing, what="seal")
        ratios(*opening, what="open")
        (Path(folder) / "back").unlink()
        (Path(folder) / "plain.age").unlink()
        once, more = bench.seal(), bench.seal(times=4)
        print(f"peak memory: {once:.0f} MiB for {SIZE_MIB} MiB, {more:.0f} MiB for four times that")


if __name__ == "__main__":
    main()
