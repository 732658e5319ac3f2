"""The demo: the server with a sample application that uses it, and traffic.

The server starts one process of its own, the conductor (`python -m mainstay_server.app.demo`). It
asks the server's API for the DSN, starts the sample app twice (production and staging) with
visitors and somebody who is told of alerts, and says where they run. Nothing in the stores is made
up: what the pages show, the app sent or a health check found.

The conductor ends when its standard input does, which the kernel of the machine sees to however the
server ends, and takes its children along; they are killed with it when it is killed itself.
"""

import contextlib
import ctypes
import importlib.util
import json
import os
import secrets
import select
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAMPLE = Path(__file__).parents[3] / "examples" / "inspections"
DEFAULT_DATA_DIR = Path(".demo")
EMAIL = "demo@mainstay.example"
PROJECT = "inspections"
STOP_SECONDS = 8.0
ANSWER_SECONDS = 10.0
PATIENCE_SECONDS = 30.0
LOOK_EVERY_SECONDS = 1.0
PR_SET_PDEATHSIG = 1
NOT_FOUND = 404


@dataclass(frozen=True)
class Place:
    """One environment of the sample app, and how busy it is."""

    environment: str
    per_second: float
    has_signing_key: bool


# Staging forgot an environment variable, as stagings do: its health document says so.
PLACES = (Place("production", 10, has_signing_key=True), Place("staging", 1, has_signing_key=False))


class Demo:
    """The server's side of the demo: what it is set up with, and the conductor's life."""

    def __init__(self) -> None:
        self.data_dir = DEFAULT_DATA_DIR
        self._email = EMAIL
        self._password = ""
        self._token = ""
        self._project = PROJECT
        self._conductor: subprocess.Popen[bytes] | None = None

    def prepare(self, data_dir: Path | None) -> None:
        """Choose the data dir and set the server up unattended, before it reads its settings.

        What the environment already says stays. What is made here is kept in `demo.json` of the
        data dir, so that the next start prints the same password.

        Raises:
            SystemExit: without a checkout, or on a data dir that belongs to somebody.
        """
        self.data_dir = data_dir or DEFAULT_DATA_DIR
        _refuse_without_sample()
        made = _made_for(self.data_dir)
        if not _given("MAINSTAY_BOOTSTRAP_EMAIL") and not _given("MAINSTAY_BOOTSTRAP_PASSWORD"):
            self._password = made["password"]
            os.environ["MAINSTAY_BOOTSTRAP_EMAIL"] = EMAIL
            os.environ["MAINSTAY_BOOTSTRAP_PASSWORD"] = self._password
        self._email = _given("MAINSTAY_BOOTSTRAP_EMAIL")
        self._token = _given("MAINSTAY_BOOTSTRAP_TOKEN")
        if not self._token:
            self._token = os.environ["MAINSTAY_BOOTSTRAP_TOKEN"] = made["token"]
        self._project = _given("MAINSTAY_BOOTSTRAP_PROJECT")
        if not self._project:
            self._project = os.environ["MAINSTAY_BOOTSTRAP_PROJECT"] = PROJECT

    def start(self, url: str) -> str:
        """Start the conductor, which takes milliseconds, and return what to tell people."""
        self._conductor = subprocess.Popen(  # noqa: S603 - this very file
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the server; the conductor hears of it from us
        )
        plan = {"url": url, "token": self._token, "project": self._project}
        plan["folder"] = str(self.data_dir.resolve() / "demo")
        assert self._conductor.stdin is not None
        self._conductor.stdin.write(json.dumps(plan).encode() + b"\n")
        self._conductor.stdin.flush()
        password = self._password or "the one in MAINSTAY_BOOTSTRAP_PASSWORD"
        return (
            f"The demo watches a sample app, {self._project}, in production and in staging.\n"
            "Its pages fill within half a minute.\n"
            f"  sign in   {url}/login\n"
            f"  e-mail    {self._email}\n"
            f"  password  {password}\n"
            f"Ctrl-C ends everything; remove {self.data_dir} to begin anew."
        )

    def stop(self) -> None:
        """End the conductor and with it everything it started; a no-op when nothing runs."""
        if self._conductor is None:
            return
        assert self._conductor.stdin is not None
        self._conductor.stdin.close()
        try:
            self._conductor.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._conductor.kill()
            self._conductor.wait()
        self._conductor = None


def _refuse_without_sample() -> None:
    if not (SAMPLE / "app.py").is_file():
        raise SystemExit(
            "The demo needs the sample app, which is not installed with the package. Get it with"
            " the source: `git clone` the repository and run `make demo` in it."
        )
    missing = [name for name in ("mainstay", "sentry_sdk") if not importlib.util.find_spec(name)]
    if missing:
        raise SystemExit(f"The sample app needs {' and '.join(missing)}; run `make setup` first.")


def _made_for(data_dir: Path) -> dict[str, str]:
    """The password and token of this data dir, made at its first demo."""
    path = data_dir / "demo.json"
    if path.is_file():
        kept: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return kept
    if (data_dir / "mainstay.db").exists():
        raise SystemExit(f"{data_dir} holds data that no demo made; choose another --data-dir.")
    made = {"password": secrets.token_urlsafe(9), "token": f"demo_{secrets.token_urlsafe(32)}"}
    data_dir.mkdir(parents=True, exist_ok=True)
    only_mine = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
    with os.fdopen(only_mine, "w", encoding="utf-8") as file:
        json.dump(made, file)
    return made


def _given(name: str) -> str:
    """A setting from the environment or from the file it names; empty when neither is there."""
    path = os.environ.get(f"{name}_FILE")
    if path is None:
        return os.environ.get(name, "")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SystemExit(f"{name}_FILE cannot be read: {error}") from error


class Api:
    """The server's HTTP API, for a caller that needs a few calls and no dependency."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        # The server is on this machine; a proxy in the environment has no business with it.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        """Make a call and return its answer; raises `HTTPError` or, when nobody answers, others."""
        request = urllib.request.Request(  # noqa: S310 - the server's own address
            f"{self._url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        with self._opener.open(request, timeout=ANSWER_SECONDS) as answer:
            return json.loads(answer.read() or b"null")


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
        self._start_receiver(project)
        urls = {place: self._start_app(place, project["dsn"]) for place in PLACES}
        for place, url in urls.items():
            _patiently(lambda url=url: _connect(url))  # type: ignore[misc] # bound at once
            self._start_visitors(place, url)
            self._tell_where(project, place, url)

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
        deadline = time.monotonic() + STOP_SECONDS / 2
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

    def _tell_where(self, project: dict[str, Any], place: Place, url: str) -> None:
        """Let the instance be asked every five seconds; a person would say the same by hand."""
        asking = {"url": url, "healthPath": "/api/health"}
        timing = {"intervalSeconds": 5, "timeoutSeconds": 4}
        known = {instance["environment"]: instance["id"] for instance in project["instances"]}
        if place.environment not in known:
            # Data of a new environment makes its instance too, and may have been faster.
            listed = self._api.call("GET", f"/api/instances?project={self._project}")
            known = {each["environment"]: each["id"] for each in listed["instances"]}
        if place.environment not in known:
            named = {"project": self._project, "environment": place.environment}
            self._api.call("POST", "/api/instances", {**named, **asking, **timing})
            return
        self._api.call("PATCH", f"/api/instances/{known[place.environment]}", {**asking, **timing})

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

    def _start_receiver(self, project: dict[str, Any]) -> None:
        """Let the team's pager be told of alerts, instead of the last start's, which is gone."""
        port = _free_port()
        path = f"/api/projects/{self._project}/alert-channels"
        for channel in self._api.call("GET", path)["channels"]:
            if channel["config"].get("webhookUrl", "").startswith("http://127.0.0.1:"):
                instance = f"/api/instances/{project['instances'][0]['id']}"
                self._api.call("DELETE", f"{instance}/alert-channels/{channel['id']}")
        config = {"webhookUrl": f"http://127.0.0.1:{port}/pager"}
        made = self._api.call("POST", path, {"type": "webhook", "config": config})
        self._run(
            "pager", [str(SAMPLE / "receiver.py"), str(port)], {"WEBHOOK_SECRET": made["secret"]}
        )

    def _start_visitors(self, place: Place, url: str) -> None:
        visitors = [str(SAMPLE / "traffic.py"), url, "--per-second", str(place.per_second)]
        self._run(f"visitors-of-{place.environment}", visitors, {})

    def _run(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("MAINSTAY_")}
        with (self._folder / f"{name}.log").open("wb") as log:
            self._children[name] = subprocess.Popen(  # noqa: S603 - our own sample
                [sys.executable, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**inherited, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", **environment},
                preexec_fn=_dying_with(os.getpid()),  # noqa: PLW1509 - the conductor has no threads
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


def _dying_with(parent: int) -> Callable[[], None] | None:
    """What a child does before it begins, so that it is killed when its parent dies; Linux only.

    Elsewhere the visitors notice by themselves, and the app stays when the conductor is killed.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def ask_the_kernel() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return ask_the_kernel


def _say(text: str) -> None:
    sys.stderr.write(f"Demo: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(conduct())
