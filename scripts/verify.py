"""Run the checks and the tests as phases, time each, and fail when any of them failed.

`verify.py fast` is what a developer runs before every commit; `verify.py all` is what CI runs. The
static checks run side by side and speak when they are done; tests stream their own output. Every
phase runs even when an earlier one failed, so one run names everything there is to mend.

A slow test that failed is run again alone; docs/decisions/0044 says when that is enough.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
WORKERS = os.environ.get("WORKERS", "2")
TESTS = ("server/tests", "cli/tests")
# Each package is typed by itself: their test folders share the module name `tests`.
TYPED = {
    "types server": ("server", "scripts", "benchmarks"),
    "types sdk": ("sdk",),
    "types cli": ("cli",),
}


MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
ENOUGH_BYTES = 6 << 30

SLOW = "slow tests"
TESTS_FAILED = 1  # pytest's exit code: the run was whole, and some tests failed
SLOW_CACHE = Path(".pytest_cache/slow")  # of its own, so that it names this run's failures only
# One that fails now and then is likelier than not to fail once in so many turns.
TURNS_ALONE = 3
MOST_AGAIN = 3
# Something lost or doubled once in a hundred kills is what these are there to find.
NEVER_AGAIN = "test_crash"


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One command with the name it goes by in the summary."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a phase ended; `exit_code` is the command's own."""

    name: str
    exit_code: int
    seconds: float
    remark: str = ""


def main() -> int:
    """Run the phases of the named set and return 1 when any of them failed."""
    chosen = sys.argv[1] if len(sys.argv) > 1 else ""
    if chosen not in {"fast", "all"}:
        print("usage: verify.py fast|all", file=sys.stderr)
        return 2
    started = time.monotonic()
    results = run_side_by_side(static_phases())
    tests = test_phases() if chosen == "all" else test_phases()[:1]
    with quick_folders() as environment:
        results += [run_phase(phase, environment) for phase in tests]
    print_summary(results, seconds=time.monotonic() - started)
    return 1 if any(result.exit_code for result in results) else 0


def static_phases() -> list[Phase]:
    """Return the checks that only read, the longest first."""
    types = [
        Phase(
            name=name,
            command=(str(BIN / "mypy"), "--cache-dir", f".mypy_cache/{paths[0]}", *existing(paths)),
        )
        for name, paths in TYPED.items()
    ]
    return [
        *types,
        Phase(name="imports", command=(str(BIN / "lint-imports"),)),
        Phase(name="lint", command=(str(BIN / "ruff"), "check", ".")),
        Phase(name="format", command=(str(BIN / "ruff"), "format", "--check", ".")),
    ]


def test_phases() -> list[Phase]:
    """Return the test sets: fast, slow, and the SDK's own.

    A slow file often starts a server or a browser for all its tests; keeping a file on one worker
    starts it once. The SDK's tests run by themselves because the SDK patches what it watches.
    """
    pytest = (str(BIN / "pytest"), "--numprocesses", WORKERS)
    tests = existing(TESTS)
    return [
        Phase(
            name="fast tests",
            command=(
                *pytest,
                "-p",
                "no:schemathesis",
                "--dist",
                "worksteal",
                "-m",
                "not slow",
                *tests,
            ),
        ),
        slow_phase(tests),
        Phase(name="sdk tests", command=(*pytest, "--dist", "loadfile", *existing(("sdk/tests",)))),
    ]


def slow_phase(tests: tuple[str, ...]) -> Phase:
    """Return the phase of the slow tests under some paths, which remembers what failed in it."""
    pytest = (str(BIN / "pytest"), "--numprocesses", WORKERS, "--dist", "loadfile")
    remembering = ("-o", f"cache_dir={SLOW_CACHE}", "--cache-clear")
    return Phase(name=SLOW, command=(*pytest, *remembering, "-m", "slow", *tests))


def existing(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return the paths that exist; a set of which nothing exists is a mistake worth a failure."""
    return tuple(path for path in paths if (ROOT / path).exists()) or paths


def run_side_by_side(phases: list[Phase]) -> list[Result]:
    """Run read-only phases on two cores, printing each one's output whole, in the given order."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(run_captured, phases))


def run_captured(phase: Phase) -> Result:
    """Run a phase and print its output in one piece, so that two phases do not mix lines."""
    started = time.monotonic()
    done = subprocess.run(
        phase.command,
        check=False,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    print(f"\n== {phase.name}: {shown(phase)}\n{done.stdout.rstrip()}", flush=True)
    return Result(name=phase.name, exit_code=done.returncode, seconds=time.monotonic() - started)


@contextmanager
def quick_folders() -> Iterator[dict[str, str]]:
    """Yield an environment in which tests neither compile what they import nor wait for a disk.

    Two workers and some hundred programs import the same modules: compiled once, they are kept in
    `.venv`, whatever the machine says of keeping them elsewhere. Temporary files are in memory
    where there is plenty, since each of thousands of transactions waits for its file to be synced.
    """
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(ROOT / ".venv" / "bytecode")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    # Short names: sockets of servers lie in it, whose paths have 107 characters at most.
    folder = tempfile.mkdtemp(prefix="m-", dir=MEMORY if has_plenty(MEMORY) else None)
    Path(folder).chmod(0o755)  # a database server runs as a user of its own
    try:
        yield {**environment, "TMPDIR": folder}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def has_plenty(folder: Path) -> bool:
    """Whether a folder in memory and the memory itself have room for the tests' files."""
    if "TMPDIR" in os.environ or not os.access(folder, os.W_OK):
        return False
    memory = Path("/proc/meminfo").read_text(encoding="ascii")
    available_bytes = int(memory.partition("MemAvailable:")[2].split()[0]) * 1024
    return min(shutil.disk_usage(folder).free, available_bytes) > ENOUGH_BYTES


def run_streaming(phase: Phase, environment: dict[str, str]) -> Result:
    """Run a phase that prints as it goes."""
    print(f"\n== {phase.name}: {shown(phase)}", flush=True)
    started = time.monotonic()
    command = (*phase.command, "--basetemp", f"{environment['TMPDIR']}/t")
    done = subprocess.run(command, check=False, cwd=ROOT, stdin=subprocess.DEVNULL, env=environment)
    return Result(name=phase.name, exit_code=done.returncode, seconds=time.monotonic() - started)


def run_phase(phase: Phase, environment: dict[str, str]) -> Result:
    """Run a set of tests; of the slow set, judge again what failed."""
    result = run_streaming(phase, environment)
    if phase.name == SLOW and result.exit_code == TESTS_FAILED:
        return judge_again(result, environment)
    return result


def judge_again(result: Result, environment: dict[str, str]) -> Result:
    """Return how the slow set ended once its few failed tests were run again, each turn alone.

    It passes, with their names as remark, only when all of them pass in every turn.
    """
    failed = failed_slow_tests()
    if not 0 < len(failed) <= MOST_AGAIN or any(NEVER_AGAIN in name for name in failed):
        return result
    again = Phase(name="failed tests, alone", command=(str(BIN / "pytest"), *failed))
    turns = [run_streaming(again, environment) for _ in range(TURNS_ALONE)]
    seconds = result.seconds + sum(turn.seconds for turn in turns)
    if any(turn.exit_code for turn in turns):
        return replace(result, seconds=seconds)
    remark = f"UNSTEADY, to be mended: {', '.join(failed)}"
    return replace(result, exit_code=0, seconds=seconds, remark=remark)


def failed_slow_tests() -> list[str]:
    """Return the names of what failed in the slow set, as pytest takes them."""
    kept = ROOT / SLOW_CACHE / "v" / "cache" / "lastfailed"  # what `pytest --last-failed` reads
    return sorted(json.loads(kept.read_text(encoding="utf-8")))


def shown(phase: Phase) -> str:
    """Return the command as one would type it at the root of the repository."""
    return shlex.join(phase.command).replace(f"{ROOT}/", "")


def print_summary(results: list[Result], *, seconds: float) -> None:
    """Print one line per phase with its time, and the total."""
    print("\n== summary")
    for result in results:
        verdict = "ok" if result.exit_code == 0 else f"FAILED, exit code {result.exit_code}"
        print(f"{result.seconds:8.1f} s  {result.name:<14} {verdict}  {result.remark}".rstrip())
    print(f"{seconds:8.1f} s  in all", flush=True)


if __name__ == "__main__":
    sys.exit(main())
