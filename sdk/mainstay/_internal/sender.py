"""The background thread that delivers, and gives way to everything else."""

import random
import threading
import time
from http import HTTPStatus
from typing import NamedTuple

from mainstay._internal.backlog import Backlog
from mainstay._internal.clock import Clock
from mainstay._internal.guard import GUARD, logger
from mainstay._internal.message import Origin, encode_requests
from mainstay._internal.transport import NO_ANSWER, Transport

_BATCH = 1_000
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
# 4xx that speak of this moment and not of what was sent.
_WORTH_ANOTHER_TRY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
# How long close() waits for the thread after it has cut its connection.
_LAST_JOIN_SECONDS = 0.5


class Pause(NamedTuple):
    """Until when nothing is sent, in monotonic seconds; ``asked`` when the server named it."""

    until: float = 0.0
    asked: bool = False


class Sender:
    """One daemon thread per process, started with the first request to deliver.

    Started late, so that a process that only forks workers (gunicorn's master with preload)
    never has a thread that a fork could cut in half.

    Batches are delivered at least once and in order. After a failure it waits one second, then
    twice as long each time up to a minute, less a random part so that many processes do not come
    back together. A Retry-After is kept to the second, also by ``flush``.
    """

    def __init__(
        self, backlog: Backlog, transport: Transport, *, origin: Origin, clock: Clock, every: float
    ) -> None:
        self._backlog = backlog
        self._transport = transport
        self._origin = origin
        self._clock = clock
        self._every = every
        self._wake = threading.Event()
        self._changed = threading.Condition()
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._out_of_time = False
        self._busy = False
        self._flushing = 0
        self._failures = 0
        self._pause = Pause()
        self._refused = False

    def start_once(self) -> None:
        """Start the thread if there is none yet."""
        if self._thread is None and not self._stopping:
            with self._start_lock:
                if self._thread is None:
                    thread = threading.Thread(target=self._run, name="mainstay-sender", daemon=True)
                    thread.start()
                    self._thread = thread

    def flush(self, timeout_seconds: float) -> bool:
        """Send what waits, now; return whether all of it was taken before the time was over."""
        if self._thread is None:
            return len(self._backlog) == 0
        with self._changed:
            self._flushing += 1
            self._wake.set()
            try:
                return self._changed.wait_for(self._is_done, max(timeout_seconds, 0.0))
            finally:
                self._flushing -= 1

    def stop(self, timeout_seconds: float) -> None:
        """Deliver what one attempt can deliver, and end the thread within the time."""
        self._stopping = True
        self._wake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(timeout_seconds, 0.0))
            if thread.is_alive():
                self._out_of_time = True
                self._transport.interrupt()
                thread.join(_LAST_JOIN_SECONDS)

    def stop_soon(self) -> None:
        """Ask the thread to end after a last attempt, without waiting for it."""
        self._stopping = True
        self._wake.set()

    def _is_done(self) -> bool:
        return not self._busy and len(self._backlog) == 0

    def _run(self) -> None:
        stopping = False
        while not stopping:
            self._wake.wait(self._every)
            self._wake.clear()
            # Read before delivering: what was queued before the stop still gets its attempt.
            stopping = self._stopping
            # A bug in here must not end the thread: the queue would stay full for ever.
            with GUARD:
                self._deliver()
        self._transport.close()

    def _deliver(self) -> None:
        try:
            while len(self._backlog) > 0 and self._may_send():
                self._busy = True
                if not self._send_batch():
                    break
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _may_send(self) -> bool:
        if self._out_of_time:
            return False
        if time.monotonic() >= self._pause.until:
            return True
        impatient = self._stopping or self._flushing > 0
        return impatient and not self._pause.asked

    def _send_batch(self) -> bool:
        """Send one batch; return whether the next one may follow at once."""
        requests, dropped = self._backlog.take(_BATCH)
        now = self._clock.wall()
        body = encode_requests(requests, origin=self._origin, dropped=dropped, sent_at=now)
        try:
            answer = self._transport.post(body, now=now)
        except NO_ANSWER as error:
            self._backlog.put_back(requests, dropped)
            self._back_off(None)
            logger.debug("Mainstay did not answer (%s); trying again later.", type(error).__name__)
            return False
        if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            self._failures = 0
            self._pause = Pause()
            return True
        if _is_refusal(answer.status):
            self._backlog.count_dropped(len(requests) + dropped)
            self._say_refused(answer.status)
        else:
            self._backlog.put_back(requests, dropped)
        self._back_off(answer.retry_after_seconds)
        return False

    def _back_off(self, asked_seconds: float | None) -> None:
        doubled = _FIRST_PAUSE_SECONDS * 2 ** min(self._failures, 10)
        self._failures += 1
        # Jitter against a thundering herd needs no cryptography.
        jittered = min(doubled, _LONGEST_PAUSE_SECONDS) * random.uniform(0.5, 1.0)  # noqa: S311
        seconds = jittered if asked_seconds is None else asked_seconds
        self._pause = Pause(time.monotonic() + seconds, asked=asked_seconds is not None)

    def _say_refused(self, status: int) -> None:
        if not self._refused:
            self._refused = True
            logger.warning(
                "Mainstay refuses this app's requests with status %d and they are not kept; "
                "compare the DSN with the one on the project's page. This is said once.",
                status,
            )


def _is_refusal(status: int) -> bool:
    """Whether sending the same bytes again cannot help."""
    return (
        HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
        and status not in _WORTH_ANOTHER_TRY
    )
