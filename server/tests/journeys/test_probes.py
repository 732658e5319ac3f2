"""Probes elsewhere, as real programs behind real lines: what is cut, and what is killed."""

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.journeys.running import PROGRAM, Mainstay, running_mainstay
from tests.servers.http import running_http
from tests.waiting import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.slow

PATIENT = 2 * PATIENCE_SECONDS


class Line:
    """A TCP proxy to a port, which can be cut and mended."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._cut = threading.Event()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._cut.set()
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def mend(self) -> None:
        self._cut.clear()

    def close(self) -> None:
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self._cut.is_set():
                    near.close()
                    continue
                try:
                    far = socket.create_connection(("127.0.0.1", self._to))
                except OSError:
                    near.close()
                    continue
                self._open += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=_pass, args=(source, target), daemon=True).start()


def _pass(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(1 << 16):
            target.sendall(piece)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
    source.close()  # each direction closes the socket that it reads


class Probe:
    """One `mainstay probe` in a process of its own, which may be killed and started again."""

    def __init__(self, server: Mainstay, location: str, folder: Path, url: str = "") -> None:
        made = server.call("POST", "/api/probes", json={"name": "box", "location": location})
        assert made.status_code == 201, made.text
        self.id = str(made.json()["id"])
        self.token = str(made.json()["token"])
        self.folder = folder / location
        self._url = url or server.url
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {**os.environ, "MAINSTAY_PROBE_TOKEN": self.token}
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(PROGRAM), "probe", "--server", self._url, "--data-dir", str(self.folder)],
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def waiting(self) -> int:
        """How many results wait on its disk."""
        return sum(path.read_bytes().count(b"\n") for path in self.folder.glob("*.jsonl"))


@pytest.fixture
def server() -> Iterator[Mainstay]:
    with running_mainstay() as running:
        yield running


@contextmanager
def probes_of(*made: Probe) -> Iterator[None]:
    try:
        yield
    finally:
        for probe in made:
            probe.kill()


def a_check(server: Mainstay, url: str, *locations: str) -> str:
    wanted = {
        "name": "shop",
        "url": url,
        "intervalSeconds": 5,
        "timeoutSeconds": 10,
        "degradedAfterMs": 120_000,
        "locations": list(locations),
    }
    path = f"/api/instances/{server.instance_id}/health-checks"
    made = server.call("POST", path, json=wanted)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def test_what_was_found_while_the_server_was_away_comes_once_whoever_is_killed(
    server: Mainstay, tmp_path: Path
) -> None:
    line = Line(int(server.url.rpartition(":")[2]))
    probe = Probe(server, "Oslo", tmp_path, line.url)
    with contextlib.closing(line), probes_of(probe), running_http() as shop:
        a_check(server, f"{shop.url}/health", "Oslo")
        probe.start()
        eventually(lambda: results(server), within_seconds=PATIENT)

        line.cut()
        eventually(lambda: probe.waiting >= 3, within_seconds=PATIENT)
        probe.kill()
        kept = probe.waiting
        server.kill()
        probe.start()
        server.start()
        line.mend()
        eventually(lambda: probe.waiting == 0, within_seconds=PATIENT)
        probe.kill()
        found = results(server)

    assert kept >= 3
    assert len(found) == len(set(found))
    # One that was under way when its probe was killed was seen by the shop alone.
    assert len(shop.requests) - 2 <= len(found) <= len(shop.requests)
    assert probe.token not in probe.log


def test_a_probe_that_is_removed_ends_and_says_why(server: Mainstay, tmp_path: Path) -> None:
    probe = Probe(server, "Oslo", tmp_path)
    with probes_of(probe):
        probe.start()
        eventually(
            lambda: server.get("/api/probes")["probes"][0]["state"] == "connected",
            within_seconds=PATIENT,
        )
        server.call("DELETE", f"/api/probes/{probe.id}")
        assert probe.process is not None
        assert probe.process.wait(PATIENT) == 77

    assert "does not know this probe" in probe.log


def results(server: Mainstay) -> list[str]:
    """When each result that is kept was found."""
    found = server.get(f"/api/instances/{server.instance_id}/health?hours=24")["recentChecks"]
    return [str(one["timestamp"]) for one in found]
