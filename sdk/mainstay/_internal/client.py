"""The one client of this process: made by init, ended by close."""

import atexit
import logging
import math
import os
import socket
from pathlib import Path
from typing import NamedTuple

from mainstay._internal.alert_box import AlertBox, SentAlert
from mainstay._internal.backlog import Backlog
from mainstay._internal.clock import Clock
from mainstay._internal.dsn import Dsn, guard_key_in, parse_dsn
from mainstay._internal.guard.passage import Passage
from mainstay._internal.guard.report import Passages
from mainstay._internal.guard.source import PolicySource, default_cache_folder
from mainstay._internal.message import MeasuredRequest, Origin
from mainstay._internal.outbox import Outbox
from mainstay._internal.sender import Sender
from mainstay._internal.shield import SHIELD, logger
from mainstay._internal.transport import Transport

_AT_EXIT_SECONDS = 2.0
_LEAST_INTERVAL_SECONDS = 0.01
_LONGEST_INTERVAL_SECONDS = 3600.0


class Options(NamedTuple):
    """What init was told beside the DSN."""

    origin: Origin
    guard_key: str
    every_seconds: float
    max_queue: int
    cache_folder: Path | None


class Client:
    """Holds what is measured until it is delivered, and the policy of the guard.

    ``policies`` and ``passages`` are None without a guard key.
    """

    def __init__(self, dsn: Dsn, options: Options, *, clock: Clock) -> None:
        self.clock = clock
        self._dsn = dsn
        self._options = options
        self.policies: PolicySource | None = None
        self.passages: Passages | None = None
        if options.guard_key:
            self.policies = PolicySource(
                dsn,
                guard_key=options.guard_key,
                environment=options.origin.environment,
                cache_folder=options.cache_folder,
                clock=clock,
            )
        self.start_fresh()

    @property
    def dsn(self) -> Dsn:
        """Where this process sends, and as whom."""
        return self._dsn

    def start_fresh(self) -> None:
        """Begin with an empty queue and no thread; what the parent queued, the parent sends."""
        dsn, options = self._dsn, self._options
        self.backlog = Backlog(
            options.max_queue, path=dsn.requests_path, key=dsn.key, origin=options.origin
        )
        self.alerts = AlertBox(path=dsn.alerts_path, key=dsn.key, origin=options.origin)
        # Alerts first: they are few, and somebody waits for them.
        outboxes: list[Outbox] = [self.alerts, self.backlog]
        if options.guard_key:
            self.passages = Passages(
                options.max_queue,
                path=dsn.report_path,
                guard_key=options.guard_key,
                environment=options.origin.environment,
            )
            outboxes.append(self.passages)
        if self.policies is not None:
            self.policies.start_fresh()
        self.sender = Sender(
            outboxes, Transport(dsn), clock=self.clock, every=options.every_seconds
        )

    def record(self, request: MeasuredRequest) -> None:
        """Queue the request for delivery; costs about a microsecond and never waits."""
        self.backlog.add(request)
        if not self.sender.has_begun:
            self.sender.start_once()

    def alert(self, alert: SentAlert) -> bool:
        """Queue an alert for delivery; False when too many wait."""
        queued = self.alerts.add(alert)
        if not self.sender.has_begun:
            self.sender.start_once()
        return queued

    def report(self, passage: Passage, route: str, status: int) -> None:
        """Count what became of a guarded request; without a guard key nobody may be told."""
        if self.passages is not None:
            self.passages.add(passage, route, status)
            if not self.sender.has_begun:
                self.sender.start_once()

    def stop_soon(self) -> None:
        """Deliver what waits in one more attempt, without waiting for it."""
        if self.policies is not None:
            self.policies.stop(0.0)
        self.sender.stop_soon()

    def stop(self, timeout_seconds: float) -> None:
        """Deliver what can be delivered within the time, and end the threads."""
        if self.policies is not None:
            self.policies.stop()
        self.sender.stop(timeout_seconds)


class _Process:
    """What this process is connected to, if anything."""

    client: Client | None = None
    hooked = False


def active_client() -> Client | None:
    """Return the client that init made, or None while Mainstay is off."""
    return _Process.client


def init(  # noqa: PLR0913 - the options of the SDK, each with a default that works
    dsn: str | None = None,
    *,
    environment: str = "production",
    release: str | None = None,
    server_name: str | None = None,
    flush_interval_seconds: float = 1.0,
    max_queue: int = 10_000,
    guard_key: str | None = None,
    policy_cache: str | Path | bool = True,
    debug: bool = False,
) -> None:
    """Connect this process to a Mainstay project.

    Without a ``dsn`` the environment variables MAINSTAY_DSN and SENTRY_DSN are read, in this
    order; without any of them Mainstay is off and everything it offers does nothing, quietly. A
    DSN that cannot be read switches it off too and says so in the log; nothing is raised.

    ``release`` names the version that runs (``inspections@1.4.2``), ``server_name`` the machine
    (its host name when not given). What is measured is sent every ``flush_interval_seconds``;
    while the server is away the newest ``max_queue`` requests are kept. ``debug`` lets the
    logger ``mainstay`` tell what it does.

    ``guard_key`` is the project's secret that ``mainstay.Guard`` fetches its policy and reports
    with; it may also stand in the DSN after the ingest key, or in MAINSTAY_GUARD_KEY. The last
    good policy is kept in the user's cache folder, or in the folder ``policy_cache``, or, with
    False, nowhere.

    May be called again: the new options hold from then on, and what was queued under the old
    ones is still delivered.
    """
    with SHIELD:
        connect(
            dsn,
            origin=Origin(environment, release, server_name or socket.gethostname() or None),
            every_seconds=flush_interval_seconds,
            max_queue=max_queue,
            guard_key=guard_key,
            policy_cache=policy_cache,
            debug=debug,
        )


def connect(  # noqa: PLR0913 - the options of init
    dsn: str | None,
    *,
    origin: Origin,
    every_seconds: float = 1.0,
    max_queue: int = 10_000,
    guard_key: str | None = None,
    policy_cache: str | Path | bool = False,
    debug: bool = False,
    clock: Clock | None = None,
) -> None:
    """Do what init promises, with the clock passed in."""
    if debug:
        logger.setLevel(logging.DEBUG)
    replaced, _Process.client = _Process.client, None
    if replaced is not None:
        replaced.stop_soon()
    text = dsn or os.environ.get("MAINSTAY_DSN") or os.environ.get("SENTRY_DSN") or ""
    parsed = _read_dsn(text)
    if parsed is None:
        return
    if not math.isfinite(every_seconds):
        every_seconds = 1.0
    options = Options(
        origin=origin,
        guard_key=guard_key or guard_key_in(text) or os.environ.get("MAINSTAY_GUARD_KEY", ""),
        every_seconds=min(max(every_seconds, _LEAST_INTERVAL_SECONDS), _LONGEST_INTERVAL_SECONDS),
        max_queue=max(max_queue, 1),
        cache_folder=_cache_folder(policy_cache),
    )
    _Process.client = Client(parsed, options, clock=clock or Clock())
    _hook_process_once()


def flush(timeout_seconds: float = 2.0) -> bool:
    """Send what is queued now; return whether all of it was delivered within the time.

    A pause that the server asked for (429 with Retry-After) is kept, and then this returns
    False when the time is over.
    """
    client = _Process.client
    if client is None:
        return True
    with SHIELD:
        return client.sender.flush(timeout_seconds)
    return False


def close(timeout_seconds: float = 2.0) -> None:
    """Deliver what can be delivered within the time, end the thread and switch Mainstay off."""
    client, _Process.client = _Process.client, None
    if client is not None:
        with SHIELD:
            client.stop(timeout_seconds)


def _cache_folder(wanted: str | Path | bool) -> Path | None:  # noqa: FBT001 - as init takes it
    if isinstance(wanted, bool):
        return default_cache_folder() if wanted else None
    return Path(wanted)


def _read_dsn(text: str) -> Dsn | None:
    if not text:
        return None
    try:
        return parse_dsn(text)
    except ValueError as error:
        logger.warning("Mainstay is off, because its DSN cannot be read: %s.", error)
        return None


def _hook_process_once() -> None:
    if not _Process.hooked:
        _Process.hooked = True
        atexit.register(close, _AT_EXIT_SECONDS)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_start_fresh_after_fork)


def _start_fresh_after_fork() -> None:
    if _Process.client is not None:
        _Process.client.start_fresh()
