"""Real servers as child processes: find the program, find a port, wait for it, stop it."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from tests.waiting import PATIENCE_SECONDS

START_SECONDS = PATIENCE_SECONDS
STOP_SECONDS = 30.0
FIRST_PORT, PORTS = 16_000, 16_000


def required_program(name: str, *, package: str, folders: Sequence[Path] = ()) -> str:
    """Return the program's path, or fail the test with the line that installs it.

    It fails and never skips: a suite that leaves out what is missing proves nothing.
    """
    for folder in folders:
        if os.access(folder / name, os.X_OK):
            return str(folder / name)
    found = shutil.which(name)
    if found is None:
        pytest.fail(
            f"{name} is missing. Install it: apt-get install --no-install-recommends {package}",
            pytrace=False,
        )
    return found


def free_port() -> int:
    """Return a loopback port that nobody listened on a moment ago and nobody is given by chance.

    It lies below those that the system hands out to whoever asks for any or connects somewhere, so
    it is still free when a server that was stopped takes it again. It is drawn from the system's
    randomness: the tests' own begins alike in every worker.
    """
    while True:
        port = FIRST_PORT + secrets.randbelow(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class ServerProcess:
    """One child process that can be started, killed and started again with the same arguments.

    `is_ready` raises `OSError` until the server answers. Output goes to `log`, which is shown when
    the server does not come up.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        is_ready: Callable[[], None],
        user: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = list(command)
        self._log = log
        self._is_ready = is_ready
        self._user = user
        self._environment = None if environment is None else {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self) -> None:
        assert self._process is None, "the server runs already"
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._log.parent,
                env=self._environment,
                user=self._user,
                group=self._user,
                extra_groups=None if self._user is None else [],
                start_new_session=True,
            )
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.kill()
            raise

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            if process.poll() is not None:
                raise RuntimeError(f"{self._command[0]} ended at once:\n{self._log.read_text()}")
            try:
                self._is_ready()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def stop(self, *, signal_number: int) -> None:
        """Ask the process to end by `signal_number`; kill it when it does not."""
        if self._process is None:
            return
        self._process.send_signal(signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kill the process without warning, as a crash would."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait(STOP_SECONDS)
        self._process = None


def connects_to(port: int) -> Callable[[], None]:
    """Return a readiness test that passes once something accepts on the loopback port."""

    def accepts() -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            pass

    return accepts
