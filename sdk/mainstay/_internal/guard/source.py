"""Keep the policy that the server publishes: ask for changes, and keep a copy for bad days."""

import json
import os
import threading
import time
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlencode

from mainstay._internal.clock import Clock
from mainstay._internal.dsn import Dsn
from mainstay._internal.guard.policy import Policy, read_policy
from mainstay._internal.guard.saved import SavedPolicy
from mainstay._internal.message import SDK_NAME, SDK_VERSION
from mainstay._internal.sender import pause_seconds
from mainstay._internal.shield import SHIELD, logger
from mainstay._internal.transport import NO_ANSWER, Answer, Transport

_WAIT_SECONDS = 25
_TIMEOUT_SECONDS = _WAIT_SECONDS + 10.0
_MOST_BYTES = 64 * 1024 * 1024
# Whatever the server does: four questions a second at most.
_LEAST_BETWEEN_SECONDS = 0.25
_LAST_JOIN_SECONDS = 0.5
# So long the first requests of a process wait for its first policy; no longer, were it to be away.
_FIRST_ANSWER_SECONDS = 2.0


class PolicySource:
    """The newest good policy, fetched by one daemon thread.

    The question stays open on the server until the policy changes, so that a change is here
    within a second. A policy that cannot be read, or that is older than the one in force, is
    not taken; the last good one stays. While the server is away the questions become rarer, up
    to a minute apart. The copy on disk is read when this is made.
    """

    def __init__(
        self,
        dsn: Dsn,
        *,
        guard_key: str,
        environment: str,
        cache_folder: Path | None,
        clock: Clock,
    ) -> None:
        self.policy: Policy | None = None
        self._dsn = dsn
        self._guard_key = guard_key
        self._path = f"{dsn.policy_path}?" + urlencode(
            {"environment": environment, "wait": _WAIT_SECONDS}
        )
        self._clock = clock
        self._etag = ""
        self._saved: SavedPolicy | None = None
        self._said: set[str] = set()
        self._thread: threading.Thread | None = None
        self._begin()
        if cache_folder is not None:
            self._saved = SavedPolicy(
                cache_folder, guard_key=guard_key, whose=f"{dsn.place} {environment}"
            )
            with SHIELD:
                self._load()

    def start_once(self) -> None:
        """Start the thread if there is none yet; costs an attribute's look-up when there is."""
        if self._thread is None and not self._stopping.is_set():
            with self._lock:
                if self._thread is None:
                    thread = threading.Thread(target=self._run, name="mainstay-policy", daemon=True)
                    self._wait_until = time.monotonic() + _FIRST_ANSWER_SECONDS
                    thread.start()
                    self._thread = thread

    def seconds_to_first_answer(self) -> float:
        """How long it is still worth to wait for the first answer to this process; 0 after it."""
        if self._is_answered.is_set() or self._thread is None:
            return 0.0
        return max(self._wait_until - time.monotonic(), 0.0)

    def wait_for_first_answer(self) -> None:
        """Wait until the server gave a policy, or said no; two seconds at most."""
        self._is_answered.wait(self.seconds_to_first_answer())

    def stop(self, timeout_seconds: float = _LAST_JOIN_SECONDS) -> None:
        """End the thread, and cut its question short."""
        self._stopping.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            end = time.monotonic() + timeout_seconds
            # It may be between two connections; ask until it heard.
            while thread.is_alive() and time.monotonic() < end:
                self._transport.interrupt()
                thread.join(0.02)

    def start_fresh(self) -> None:
        """Go on in a forked process: the policy is good, thread and connection are the parent's."""
        self._begin()

    def _begin(self) -> None:
        self._transport = Transport(self._dsn, timeout_seconds=_TIMEOUT_SECONDS)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._is_answered = threading.Event()
        self._wait_until = 0.0
        self._thread = None

    def _load(self) -> None:
        assert self._saved is not None
        saved = self._saved.load()
        if saved is not None:
            etag, document = saved
            if self._take(document):
                self._etag = etag

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            fetched = False
            # A bug in here must not end the thread: revoked keys would stay good for ever.
            with SHIELD:
                fetched = self._ask()
            self._is_answered.set()
            failures = 0 if fetched else failures + 1
            pause = _LEAST_BETWEEN_SECONDS if fetched else pause_seconds(failures - 1)
            self._stopping.wait(max(began + pause - time.monotonic(), 0.01))
        self._transport.close()

    def _ask(self) -> bool:
        """Ask once; return whether the answer was a good one."""
        headers = {
            "Authorization": f"Bearer {self._guard_key}",
            "Accept": "application/json",
            "User-Agent": f"{SDK_NAME}/{SDK_VERSION}",
        }
        if self._etag:
            headers["If-None-Match"] = self._etag
        try:
            answer = self._transport.get(
                self._path, headers, most_bytes=_MOST_BYTES, now=self._clock.wall()
            )
        except NO_ANSWER as error:
            logger.debug("Mainstay gave no policy (%s); asking again.", type(error).__name__)
            return False
        if answer.status == HTTPStatus.NOT_MODIFIED:
            return True
        if answer.status != HTTPStatus.OK:
            self._say_once(
                f"Mainstay gives this app no guard policy (status {answer.status}); "
                "compare the guard key with the project's security page."
            )
            return False
        return self._accept(answer)

    def _accept(self, answer: Answer) -> bool:
        if not self._take(answer.body):
            return False
        self._etag = answer.etag
        if self._saved is not None:
            self._saved.store(answer.etag, answer.body)
        return True

    def _take(self, document: bytes) -> bool:
        try:
            policy = read_policy(json.loads(document))
        except (ValueError, RecursionError) as error:
            self._say_once(f"A guard policy cannot be read and is not used: {error}.")
            return False
        current = self.policy
        if (
            current is not None
            and current.instance_id == policy.instance_id
            and current.version > policy.version
        ):
            self._say_once(
                f"A guard policy of version {policy.version} is older than "
                f"version {current.version}, which stays in force."
            )
            return False
        self.policy = policy
        return True

    def _say_once(self, message: str) -> None:
        """Say each thing once, and no more than a few things."""
        if message not in self._said and len(self._said) < 20:  # noqa: PLR2004 - enough to act on
            self._said.add(message)
            logger.warning("%s", message)


def default_cache_folder() -> Path | None:
    """Return the folder of this user for copies, or None where there is no home."""
    given = os.environ.get("MAINSTAY_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    if given:
        return Path(given) / "mainstay"
    if os.environ.get("LOCALAPPDATA"):
        return Path(os.environ["LOCALAPPDATA"]) / "mainstay"
    try:
        return Path.home() / ".cache" / "mainstay"
    except RuntimeError:
        return None
