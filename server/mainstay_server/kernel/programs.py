"""Other programs as child processes: a clean environment, no secret told, none outlives us."""

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

CHUNK_BYTES = 1 << 18
KEPT_BYTES = 4096
MOST_TOLD_BYTES = 1 << 20
FINISH_SECONDS = 60.0
STOP_SECONDS = 10.0
PR_SET_PDEATHSIG = 1
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ProgramFailed(Exception):
    """A program ended badly; the text is its name and its last lines, secrets left out."""


class Program:
    """One running child. What it complains of is read all the time, and its end is kept."""

    def __init__(self, process: subprocess.Popen[bytes], name: str, secrets: Sequence[str]) -> None:
        self._process = process
        self._name = name
        self._secrets = [secret for secret in secrets if secret]
        self._kept = b""
        assert process.stderr is not None, "it was started with a pipe"
        self._reader = threading.Thread(target=self._listen, args=(process.stderr,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Also its process group."""
        return self._process.pid

    @property
    def output(self) -> BinaryIO:
        """What it writes; an end may mean that it failed, which only `finish` tells."""
        assert self._process.stdout is not None, "it was started with gives_output"
        return self._process.stdout  # type: ignore[return-value]  # IO[bytes] is one

    def feed(self, stream: BinaryIO) -> None:
        """Hand it the whole stream; stops early when it takes no more, and `finish` tells why."""
        assert self._process.stdin is not None, "it was started with takes_input"
        with contextlib.suppress(BrokenPipeError), self._process.stdin as there:
            while chunk := stream.read(CHUNK_BYTES):
                there.write(chunk)

    def has_ended(self) -> bool:
        """Whether it is gone, for whatever reason."""
        return self._process.poll() is not None

    def last_lines(self) -> str:
        """The end of what it complained of."""
        text = self._kept.decode(errors="replace").strip()
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text

    def finish(self) -> None:
        """Wait for its end, which is near: its output or input has ended.

        Raises:
            ProgramFailed: it ended badly, or not at all.
        """
        try:
            code = self._process.wait(FINISH_SECONDS)
        except subprocess.TimeoutExpired:
            raise ProgramFailed(f"{self._name} did not end") from None
        self._reader.join(STOP_SECONDS)
        if code != 0:
            raise ProgramFailed(f"{self._name} ended with {code}: {self.last_lines()}")

    def stop(self, signal_number: int = signal.SIGKILL) -> None:
        """Ask it to end by the signal, then kill it and all that it started."""
        if self._process.poll() is None:
            self._process.send_signal(signal_number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(STOP_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _listen(self, pipe: IO[bytes]) -> None:
        while chunk := os.read(pipe.fileno(), KEPT_BYTES):
            self._kept = (self._kept + chunk)[-KEPT_BYTES:]


@contextmanager
def running(  # noqa: PLR0913 - all that a child is given, by name
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    secrets: Sequence[str] = (),
    user: str | None = None,
    takes_input: bool = False,
    gives_output: bool = False,
    ends_by: int = signal.SIGKILL,
) -> Iterator[Program]:
    """Run a program until the block ends, at the latest.

    It inherits nothing but the search path, and leads a process group of its own. On Linux it is
    sent `ends_by` when the thread that started it dies, so that killing us leaves nobody behind:
    start it from a thread that lives as long. `secrets` are kept out of what it complains of; they
    belong into the environment or a file, never into the command, which everybody can read.
    """
    process = subprocess.Popen(  # noqa: S603 - a list of words, no shell
        command,
        stdin=subprocess.PIPE if takes_input else subprocess.DEVNULL,
        stdout=subprocess.PIPE if gives_output else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={"PATH": SEARCH_PATH, "LC_ALL": "C", **(environment or {})},
        cwd=folder,
        user=user,
        group=None if user is None else pwd.getpwnam(user).pw_gid,
        extra_groups=None if user is None else [],
        start_new_session=True,
        preexec_fn=dying_with(os.getpid(), ends_by),  # noqa: PLW1509 - takes no lock
    )
    program = Program(process, Path(command[0]).name, secrets)
    try:
        yield program
    finally:
        program.stop(ends_by)


def told_by(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    secrets: Sequence[str] = (),
    user: str | None = None,
) -> str:
    """What a short run prints, at most 1 MiB of it. Raises `ProgramFailed`."""
    given = {"environment": environment, "folder": folder, "secrets": secrets, "user": user}
    with running(command, gives_output=True, **given) as program:  # type: ignore[arg-type]  # as named
        text = program.output.read(MOST_TOLD_BYTES)
        if program.output.read(1):
            raise ProgramFailed(f"{Path(command[0]).name} says more than can be taken")
        program.finish()
    return text.decode(errors="replace")


def lesser_user(*names: str) -> str | None:
    """Whom a server of ours runs as: the first that exists when we are root, else ourselves.

    Raises:
        ProgramFailed: we are root and none of them exists.
    """
    if os.geteuid() != 0:
        return None
    known = {account.pw_name for account in pwd.getpwall()}
    for name in names:
        if name in known:
            return name
    raise ProgramFailed(f"Root runs no such server; make one of these users: {', '.join(names)}")


def own_folder(path: Path, user: str | None) -> Path:
    """Make a folder that only the user enters (or we, when None)."""
    path.mkdir(mode=0o700)
    if user is not None:
        account = pwd.getpwnam(user)
        os.chown(path, account.pw_uid, account.pw_gid)
    return path


def dying_with(parent: int, by: int = signal.SIGKILL) -> Callable[[], None] | None:
    """What a child does before it begins, so that it ends when its parent dies; Linux only.

    It is for `preexec_fn`, and None elsewhere. Whoever was started in the background of a script
    ignores some signals, and so would its children: `by` ends them all the same.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def ask_the_kernel() -> None:
        if by != signal.SIGKILL:
            signal.signal(by, signal.SIG_DFL)
        prctl(PR_SET_PDEATHSIG, by)
        if os.getppid() != parent:
            os._exit(1)

    return ask_the_kernel
