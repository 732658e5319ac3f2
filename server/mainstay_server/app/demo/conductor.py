"""The conductor: starts the sample app and those around it, and ends with the server."""

import contextlib
import json
import os
import re
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mainstay_server.kernel.programs import dying_with

from .api import ANSWER_SECONDS, Api
from .backing_up import back_up
from .guarding import Guarding
from .places import PLACES, SAMPLE, Place
from .promising import promise
from .reporting import report
from .watching import show, watch

STOP_SECONDS = 4.0
PATIENCE_SECONDS = 30.0
LOOK_EVERY_SECONDS = 1.0
NOT_FOUND = 404
# The pager of the demo; other receivers on this machine are those of whoever tries things.
PAGER = re.compile(r"http://127\.0\.0\.1:[0-9]+/pager")


class Conductor:
    """Starts the sample app and its visitors, and ends them."""

    def __init__(self, plan: dict[str, str]) -> None:
        self._api = Api(plan["url"], plan["token"])
        self._project = plan["project"]
        self._folder = Path(plan["folder"])
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start every place, then say where each runs; raises `OSError` when nobody answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        project = _patiently(self._get_project)
        instances = {place: self._get_instance(place) for place in PLACES}
        self._start_receiver(instances[PLACES[0]])
        guarding = Guarding(self._api, project=self._project, folder=self._folder)
        dsn = guarding.with_guard_key(project["dsn"])
        urls = {place: self._start_app(place, dsn) for place in PLACES}
        for place, url in urls.items():
            keys = guarding.guard(place.environment, instances[place])
            _patiently(lambda url=url: _connect(url))  # type: ignore[misc] # bound at once
            self._start_visitors(place, url, keys)
            self._tell_where(instances[place], url)
            watch(self._api, instance_id=instances[place], url=url, key=keys[0])
        promise(self._api, project=self._project, environment=PLACES[0].environment)
        back_up(
            self._api,
            instance_id=instances[PLACES[0]],
            database=self._folder / f"{PLACES[0].environment}.db",
            kept=self._folder / "backup.json",
        )
        report(self._api, instance_id=instances[PLACES[0]])
        show(
            self._api,
            project=self._project,
            environment=PLACES[0].environment,
            instance_id=instances[PLACES[0]],
        )

    def look_after(self) -> None:
        """Say which child ended by itself, once; the others go on."""
        for name, child in list(self._children.items()):
            if child.poll() is not None:
                del self._children[name]
                _say(f"{name} ended by itself ({child.returncode}); see {self._folder}")

    def stop(self) -> None:
        """End every child, and kill those that do not end in time."""
        for child in self._children.values():
            child.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for child in self._children.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, deadline - time.monotonic()))
            child.kill()
            child.wait()

    def _get_project(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self._api.call("GET", f"/api/projects/{self._project}")
        except urllib.error.HTTPError as refusal:
            if refusal.code != NOT_FOUND:
                raise
            wanted = {"name": self._project.capitalize(), "slug": self._project}
            found = self._api.call("POST", "/api/projects", wanted)
        return found

    def _get_instance(self, place: Place) -> str:
        """The id of the place's instance, which is made at the first start."""
        listed = self._api.call("GET", f"/api/instances?project={self._project}")
        for each in listed["instances"]:
            if each["environment"] == place.environment:
                return str(each["id"])
        wanted = {"project": self._project, "environment": place.environment}
        return str(self._api.call("POST", "/api/instances", wanted)["id"])

    def _tell_where(self, instance_id: str, url: str) -> None:
        """Let the instance be asked every five seconds; a person would say the same by hand."""
        asking = {"url": url, "healthPath": "/api/health"}
        timing = {"intervalSeconds": 5, "timeoutSeconds": 4}
        self._api.call("PATCH", f"/api/instances/{instance_id}", {**asking, **timing})

    def _start_app(self, place: Place, dsn: str) -> str:
        port = _free_port()
        environment = {
            "MAINSTAY_DSN": dsn,
            "INSPECTIONS_ENVIRONMENT": place.environment,
            "INSPECTIONS_DATABASE": str(self._folder / f"{place.environment}.db"),
        }
        if place.has_signing_key:
            environment["INSPECTIONS_SIGNING_KEY"] = secrets.token_hex(16)
        app = ["-m", "uvicorn", "app:app", "--app-dir", str(SAMPLE), "--port", str(port)]
        # Its errors go to the server; written down here as well they would fill the disk.
        self._run(place.environment, [*app, "--log-level", "critical"], environment)
        return f"http://127.0.0.1:{port}"

    def _start_receiver(self, instance_id: str) -> None:
        """Let the team's pager be told of alerts, instead of the last start's, which is gone."""
        port = _free_port()
        path = f"/api/projects/{self._project}/alert-channels"
        for channel in self._api.call("GET", path)["channels"]:
            if PAGER.fullmatch(channel["config"].get("webhookUrl", "")):
                channel_path = f"/api/instances/{instance_id}/alert-channels/{channel['id']}"
                self._api.call("DELETE", channel_path)
        config = {"webhookUrl": f"http://127.0.0.1:{port}/pager"}
        pager = {"type": "webhook", "name": "pager", "config": config}
        made = self._api.call("POST", path, pager)
        self._run(
            "pager", [str(SAMPLE / "receiver.py"), str(port)], {"WEBHOOK_SECRET": made["secret"]}
        )

    def _start_visitors(self, place: Place, url: str, keys: list[str]) -> None:
        visitors = [str(SAMPLE / "traffic.py"), url, "--per-second", str(place.per_second)]
        self._run(
            f"visitors-of-{place.environment}", visitors, {"INSPECTIONS_KEYS": " ".join(keys)}
        )

    def _run(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("MAINSTAY_")}
        with (self._folder / f"{name}.log").open("wb") as log:
            self._children[name] = subprocess.Popen(  # noqa: S603 - our own sample
                [sys.executable, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**inherited, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", **environment},
                # Elsewhere than on Linux the visitors notice by themselves that the app is gone.
                preexec_fn=dying_with(os.getpid()),  # noqa: PLW1509 - the conductor has no threads
            )


def conduct() -> int:
    """Be the conductor until standard input ends; return the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    plan = json.loads(sys.stdin.readline())
    conductor = Conductor(plan)
    try:
        conductor.start()
        while not _input_ended(LOOK_EVERY_SECONDS):
            conductor.look_after()
    except urllib.error.HTTPError as refusal:
        _say(f"the server refused: {refusal} {refusal.read()[:500].decode(errors='replace')}")
        return 1
    except OSError as error:
        _say(f"the sample app did not start: {error}")
        return 1
    finally:
        conductor.stop()
    return 0


def _input_ended(timeout_seconds: float) -> bool:
    readable, _, _ = select.select([sys.stdin], [], [], timeout_seconds)
    return bool(readable) and not os.read(sys.stdin.fileno(), 1)


def _patiently(ask: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever is asked
    """Ask until somebody answers, or the server is gone, or patience is; raises `OSError`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except urllib.error.HTTPError:
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise
        if _input_ended(0.1):
            raise ConnectionAbortedError("the server ended")


def _connect(url: str) -> None:
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS):
        pass


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _say(text: str) -> None:
    sys.stderr.write(f"Demo: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(conduct())
