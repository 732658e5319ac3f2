"""The demo: the server with a sample application that uses it, and traffic.

The server starts one process of its own, the conductor (`demo/conductor.py`). It asks the server's
API for the DSN and guards the sample app, starts that twice (production and staging) with visitors
and somebody who is told of alerts, and says where they run. Nothing in the stores is made up: what
the pages show, the app sent or a health check found.

The conductor ends when its standard input does, which the kernel of the machine sees to however the
server ends, and takes its children along; they are killed with it when it is killed itself.
"""

import importlib.util
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

from .kept import keep
from .places import SAMPLE

DEFAULT_DATA_DIR = Path(".demo")
EMAIL = "demo@mainstay.example"
PROJECT = "inspections"
STOP_SECONDS = 8.0


class Demo:
    """The server's side of the demo: what it is set up with, and the conductor's life."""

    def __init__(self) -> None:
        self.data_dir = DEFAULT_DATA_DIR
        self._email = EMAIL
        self._password = ""
        self._token = ""
        self._project = PROJECT
        self._conductor: subprocess.Popen[bytes] | None = None

    @property
    def _folder(self) -> Path:
        """Where the sample app and those around it have their files."""
        return self.data_dir.resolve() / "demo"

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
        if not _given("MAINSTAY_BACKUP_FOLDERS"):
            os.environ["MAINSTAY_BACKUP_FOLDERS"] = str(self._folder)
        self._project = _given("MAINSTAY_BOOTSTRAP_PROJECT")
        if not self._project:
            self._project = os.environ["MAINSTAY_BOOTSTRAP_PROJECT"] = PROJECT

    def start(self, url: str) -> str:
        """Start the conductor, which takes milliseconds, and return what to tell people."""
        self._conductor = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", f"{__name__}.conductor"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the server; the conductor hears of it from us
        )
        plan = {"url": url, "token": self._token, "project": self._project}
        plan["folder"] = str(self._folder)
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
    keep(path, made)
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
