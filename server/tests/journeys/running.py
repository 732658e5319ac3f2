"""The real program in a process of its own, as its users start it."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
from tests.servers.processes import free_port
from tests.waiting import PATIENCE_SECONDS

PROGRAM = Path(sys.executable).parent / "mainstay"
TOKEN = "mst_journeys_owner_token_0123456789abcdef"
EMAIL = "owner@ships.example"
PASSWORD = "correct horse battery staple"
PROJECT = "inspections"
START_SECONDS = 120
STOP_SECONDS = 90


class Mainstay:
    """One Mainstay process; it may be killed and started again over the same data."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str]) -> None:
        self._arguments = arguments
        self._environment = dict(environment)
        self._process: subprocess.Popen[str] | None = None
        self.url = ""
        self.lines: list[str] = []
        self._answers = False

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start, and return once it answers. The second start keeps the port of the first."""
        self._answers = False
        self._process = subprocess.Popen(
            [str(PROGRAM), *self._arguments],
            env={**os.environ, **self._environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        started = threading.Event()
        threading.Thread(target=self._read, args=(self._process, started), daemon=True).start()
        if not started.wait(START_SECONDS):
            self.kill()
            raise TimeoutError("Mainstay did not start:\n" + "\n".join(self.lines[-40:]))
        if not self._answers:
            self.kill()
            raise RuntimeError("Mainstay ended at its start:\n" + "\n".join(self.lines[-40:]))

    def stop(self) -> int:
        """Ask it to end, as an operator would; returns its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Call as somebody whom it does not know, unless the headers say who it is."""
        return httpx.request(method, self.url + path, timeout=PATIENCE_SECONDS, **options)

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Call the API as the owner."""
        return self.ask(method, path, headers={"authorization": f"Bearer {TOKEN}"}, **options)

    def get(self, path: str) -> Any:
        """The JSON of a path, which must answer well."""
        answer = self.call("GET", path)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    @property
    def project(self) -> dict[str, Any]:
        """The first project, with its DSN and instances."""
        found: dict[str, Any] = self.get(f"/api/projects/{PROJECT}")
        return found

    @property
    def instance_id(self) -> str:
        return str(self.project["instances"][0]["id"])

    def _read(self, process: "subprocess.Popen[str]", started: threading.Event) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.lines.append(line.rstrip())
                found = re.search(r"(?:running at|at) (http://\S+)", line)
                if found and not started.is_set():
                    self.url, self._answers = found.group(1), True
                    started.set()
        started.set()


def bootstrap(data_dir: Path) -> dict[str, str]:
    """The environment of an unattended first start."""
    return {
        "MAINSTAY_DATA_DIR": str(data_dir),
        "MAINSTAY_PORT": str(free_port()),
        "MAINSTAY_BOOTSTRAP_EMAIL": EMAIL,
        "MAINSTAY_BOOTSTRAP_PASSWORD": PASSWORD,
        "MAINSTAY_BOOTSTRAP_TOKEN": TOKEN,
        "MAINSTAY_BOOTSTRAP_PROJECT": PROJECT,
    }


@contextmanager
def running_mainstay(
    environment: Mapping[str, str] | None = None,
    *,
    data_dir: Path | None = None,
    arguments: tuple[str, ...] = ("up",),
) -> Iterator[Mainstay]:
    """Yield a started Mainstay on a fresh data dir; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mainstay-journey-") as folder:
        server = Mainstay(
            list(arguments), {**bootstrap(data_dir or Path(folder)), **(environment or {})}
        )
        server.start()
        try:
            yield server
        finally:
            server.kill()
