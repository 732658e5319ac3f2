"""Reports that no server took: kept on this machine, and told by a later run, the oldest first."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

MOST_REPORTS = 200
LARGEST_BYTES = 64 << 10
KEPT_SECONDS = 7 * 86_400
FOLDER_MODE, FILE_MODE = 0o700, 0o600
LOCK = "lock"
FORM = ".json"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The end of one run as it is to be told: where, in which word, and since when it waits."""

    base: str
    word: str
    run_id: str
    create: bool
    body: str
    ended_at: float


def state_folder() -> Path:
    """Where this user's reports wait: in `$XDG_STATE_HOME`, or `~/.local/state`."""
    home = os.environ.get("XDG_STATE_HOME", "")
    base = Path(home) if home.startswith("/") else Path("~/.local/state").expanduser()
    return base / "mainstay" / "reports"


class Spool:
    """A folder with one file for each run whose end nobody took; only its owner can read it.

    An address of a heartbeat lets whoever knows it report, and what a job prints may be anything.
    At most 200 reports wait, each for at most a week; the oldest go first. No fault of the disk is
    raised: a job has run, whatever becomes of its report.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, report: Kept) -> bool:
        """Keep a report until it is forgotten, once for each run; whether that could be done."""
        text = json.dumps(asdict(report)).encode()
        if len(text) > LARGEST_BYTES:
            return False
        try:
            self._folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            self._folder.chmod(FOLDER_MODE)
            path = self._path(report)
            unfinished = path.with_suffix(f".{os.getpid()}")
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            with open(os.open(unfinished, flags, FILE_MODE), "wb") as file:  # noqa: PTH123 - a mode
                file.write(text)
            unfinished.replace(path)
            self._forget_oldest()
        except (OSError, RuntimeError):
            return False
        return True

    def forget(self, report: Kept) -> None:
        """It was taken, or will never be."""
        with contextlib.suppress(OSError, RuntimeError):
            self._path(report).unlink(missing_ok=True)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[list[Kept]]:
        """All that waits, the oldest first, for this process alone; nothing while another has it.

        What is too old, or cannot be read, is forgotten.
        """
        with contextlib.ExitStack() as stack:
            found: list[Kept] = []
            with contextlib.suppress(OSError, RuntimeError):
                lock = stack.enter_context((self._folder / LOCK).open("a"))
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found = [report for path in self._paths() if (report := _read(path))]
            yield found

    def _path(self, report: Kept) -> Path:
        return self._folder / f"{int(report.ended_at * 1000):015d}-{report.run_id}{FORM}"

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{FORM}"))

    def _forget_oldest(self) -> None:
        for path in self._paths()[:-MOST_REPORTS]:
            path.unlink(missing_ok=True)


def _read(path: Path) -> Kept | None:
    """What a file tells; one that tells nothing, or of a run of long ago, is removed."""
    try:
        if path.stat().st_size <= LARGEST_BYTES:
            report = Kept(**json.loads(path.read_bytes()))
            if time.time() - report.ended_at < KEPT_SECONDS:
                return report
    except (OSError, ValueError, TypeError):
        pass
    path.unlink(missing_ok=True)
    return None
