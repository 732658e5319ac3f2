"""Probes elsewhere, as real programs behind real lines: what is cut, killed or stopped."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.journeys.running import PROGRAM, Mainstay, running_mainstay
from tests.servers.http import running_http
from tests.servers.tls import server_tls
from tests.waiting import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.slow

PATIENT = 2 * PATIENCE_SECONDS
ALL = ("here", "Frankfurt", "Oslo", "Porto")
GRACE = {"MAINSTAY_HEALTH_CHECKS_GRACE_SECONDS": "5"}


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

    def start(self, *, authority: str = "") -> None:
        """Start it; `authority` is whom it trusts, and so decides how it finds a shop with TLS."""
        environment = {**os.environ, "MAINSTAY_PROBE_TOKEN": self.token}
        environment.pop("MAINSTAY_OUTBOUND_CA", None)
        if authority:
            environment["MAINSTAY_OUTBOUND_CA"] = authority
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


@pytest.mark.timeout(1_200)
def test_one_place_is_no_outage_a_draw_does_not_flap_and_lost_places_have_no_voice(
    tmp_path: Path,
) -> None:
    authority = trustme.CA()
    trusted = authority.cert_pem.bytes().decode()
    with (
        running_mainstay(GRACE | {"MAINSTAY_OUTBOUND_CA": trusted}) as server,
        contextlib.ExitStack() as stack,
        running_http(tls=server_tls(authority, "127.0.0.1")) as shop,
    ):
        lines = [Line(int(server.url.rpartition(":")[2])) for _ in ALL[1:]]
        for line in lines:
            stack.enter_context(contextlib.closing(line))
        frankfurt, oslo, porto = probes = [
            Probe(server, name, tmp_path, line.url)
            for name, line in zip(ALL[1:], lines, strict=True)
        ]
        stack.enter_context(probes_of(*probes))
        check_id = a_check(server, f"{shop.url}/health", *ALL)
        for probe in probes:
            probe.start(authority=trusted)
        wait_for(server, check_id, "healthy", places=dict.fromkeys(ALL, "healthy"))

        oslo.kill()
        oslo.start()  # without whom it trusts, it alone finds the shop down
        wait_for(server, check_id, "degraded", reason="(from Oslo: 1 of 4 places)")
        porto.kill()
        porto.start()
        wait_for(server, check_id, "degraded", reason="(from Oslo, Porto: 2 of 4 places)")
        asked = len(shop.requests)
        eventually(lambda: len(shop.requests) >= asked + 6, within_seconds=PATIENT)
        assert "unhealthy" not in states(server, check_id)  # two against two are no outage
        assert "instance_down" not in alerts(server)

        lines[0].cut()  # Frankfurt has no voice any more, and two of three say that it is down
        wait_for(server, check_id, "unhealthy", reason="(from Oslo, Porto: 2 of 3 places)")
        eventually(lambda: "instance_down" in alerts(server), within_seconds=PATIENT)
        for line in lines[1:]:
            line.cut()  # the one place that is left finds it well
        wait_for(server, check_id, "healthy")
        downs = states(server, check_id).count("unhealthy")

        locate(server, check_id, *ALL[1:])  # and now nobody is left
        wait_for(server, check_id, "unknown", reason="none of the places")
        eventually(lambda: "probe_silent" in alerts(server), within_seconds=2 * PATIENT)
        assert states(server, check_id).count("unhealthy") == downs == 1

        for line in lines:
            line.mend()
        wait_for(server, check_id, "unhealthy", reason="(from Oslo, Porto: 2 of 3 places)")
        eventually(
            lambda: all(one["state"] == "connected" for one in server.get("/api/probes")["probes"]),
            within_seconds=PATIENT,
        )
        assert frankfurt.process is not None
        assert frankfurt.process.poll() is None  # it went on all the time


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


def test_a_server_that_is_stopped_pings_nobody_and_finds_no_outage_afterwards() -> None:
    with running_http() as peer, running_http() as shop:
        environment = GRACE | {
            "MAINSTAY_HEALTH_CHECKS_HEARTBEAT_URL": f"{peer.url}/ping/secret",
            "MAINSTAY_HEALTH_CHECKS_HEARTBEAT_SECONDS": "1",
        }
        with running_mainstay(environment) as server:
            check_id = a_check(server, f"{shop.url}/health", "here")
            wait_for(server, check_id, "healthy")
            eventually(lambda: len(peer.requests) >= 2, within_seconds=PATIENT)
            known = states(server, check_id)

            os.kill(server.pid, signal.SIGSTOP)
            time.sleep(5)  # what was on its way has arrived
            before = len(peer.requests)
            time.sleep(35)  # longer than a result of this check speaks for
            during = len(peer.requests)
            os.kill(server.pid, signal.SIGCONT)

            eventually(lambda: len(peer.requests) > during, within_seconds=PATIENT)
            eventually(
                lambda: states(server, check_id)[len(known) :][:2] == ["unknown", "healthy"],
                within_seconds=PATIENT,
            )
            found = states(server, check_id)
            metrics = server.ask("GET", "/metrics").text

    assert before == during
    assert "unhealthy" not in found
    stalls = re.search(r"^mainstay_scheduler_stalls_total (\d+)", metrics, re.MULTILINE)
    assert stalls
    assert int(stalls[1]) >= 1
    assert "mainstay_scheduler_lag_seconds" in metrics


def path_of(server: Mainstay) -> str:
    return f"/api/instances/{server.instance_id}/health-checks"


def wait_for(
    server: Mainstay,
    check_id: str,
    state: str,
    *,
    reason: str = "",
    places: dict[str, str] | None = None,
) -> None:
    """Wait until a check is in a state, for a reason, and so at its places."""
    path = path_of(server)

    last: Any = None

    def is_so() -> bool:
        nonlocal last
        found = next(c for c in server.get(path)["healthChecks"] if c["id"] == check_id)
        at = {}
        if places:
            told = server.get(f"{path}/{check_id}/locations")["locations"]
            at = {one["location"]: one["state"] for one in told}
        last = found["state"], found["stateReason"], at
        return found["state"] == state and reason in found["stateReason"] and at == (places or {})

    try:
        eventually(is_so, within_seconds=PATIENT)
    except AssertionError:
        raise AssertionError(f"not {state} {reason} {places or ''}, but {last}") from None


def states(server: Mainstay, check_id: str) -> list[str]:
    """The states of a check, the oldest first."""
    found = server.get(f"/api/instances/{server.instance_id}/uptime?healthCheckId={check_id}")
    return [str(one["state"]) for one in found["intervals"]]


def locate(server: Mainstay, check_id: str, *locations: str) -> None:
    path = f"{path_of(server)}/{check_id}"
    changed = server.call("PATCH", path, json={"locations": list(locations)})
    assert changed.status_code == 200, changed.text


def alerts(server: Mainstay) -> set[str]:
    found = server.get(f"/api/instances/{server.instance_id}/alerts?status=all")
    return {str(alert["type"]) for alert in found["alerts"]}


def results(server: Mainstay) -> list[str]:
    """When each result that is kept was found."""
    found = server.get(f"/api/instances/{server.instance_id}/health?hours=24")["recentChecks"]
    return [str(one["timestamp"]) for one in found]
