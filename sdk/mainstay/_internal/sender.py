"""The background thread that delivers, and gives way to everything else."""

import random
import threading
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple

from mainstay._internal.clock import Clock
from mainstay._internal.outbox import Outbox
from mainstay._internal.shield import SHIELD, logger
from mainstay._internal.transport import NO_ANSWER, Transport

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


class _Lane:
    """One outbox, and how its door treated us lately."""

    __slots__ = ("failures", "outbox", "pause", "said_refused")

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.failures = 0
        self.pause = Pause()
        self.said_refused = False


class Sender:
    """One daemon thread per process for all outboxes, started with the first thing to deliver.

    Started late, so that a process that only forks workers (gunicorn's master with preload)
    never has a thread that a fork could cut in half.

    Batches are delivered at least once and in order. After a failure it waits one second, then
    twice as long each time up to a minute, less a random part so that many processes do not come
    back together. A Retry-After is kept to the second, also by ``flush``. A door that refuses
    holds up its own outbox only.
    """

    def __init__(
        self, outboxes: Sequence[Outbox], transport: Transport, *, clock: Clock, every: float
    ) -> None:
        self._lanes = [_Lane(outbox) for outbox in outboxes]
        self._transport = transport
        self._clock = clock
        self._every = every
        self._wake = threading.Event()
        self._changed = threading.Condition()
        self._start_lock = threading.Lock()
        self.has_begun = False
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._out_of_time = False
        self._busy = False
        self._flushing = 0

    def start_once(self) -> None:
        """Start the thread if there is none yet."""
        if self._thread is None and not self._stopping:
            with self._start_lock:
                if self._thread is None:
                    thread = threading.Thread(target=self._run, name="mainstay-sender", daemon=True)
                    thread.start()
                    self._thread = thread
                    self.has_begun = True

    def flush(self, timeout_seconds: float) -> bool:
        """Send what waits, now; return whether all of it was taken before the time was over."""
        if self._thread is None:
            return self._nothing_waits()
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
        return not self._busy and self._nothing_waits()

    def _nothing_waits(self) -> bool:
        return all(len(lane.outbox) == 0 for lane in self._lanes)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            self._wake.wait(self._every)
            self._wake.clear()
            # Read before delivering: what was queued before the stop still gets its attempt.
            stopping = self._stopping
            # A bug in here must not end the thread: the queue would stay full for ever.
            with SHIELD:
                self._deliver()
        self._transport.close()

    def _deliver(self) -> None:
        try:
            for lane in self._lanes:
                while len(lane.outbox) > 0 and self._may_send(lane):
                    self._busy = True
                    if not self._send_batch(lane):
                        break
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _may_send(self, lane: _Lane) -> bool:
        if self._out_of_time:
            return False
        if time.monotonic() >= lane.pause.until:
            return True
        impatient = self._stopping or self._flushing > 0
        return impatient and not lane.pause.asked

    def _send_batch(self, lane: _Lane) -> bool:
        """Send one batch; return whether the next one may follow at once."""
        parcel = lane.outbox.take()
        now = self._clock.wall()
        try:
            body = parcel.encode(now)
            answer = self._transport.post(lane.outbox.path, body, lane.outbox.headers, now=now)
        except NO_ANSWER as error:
            parcel.put_back()
            self._back_off(lane, None)
            logger.debug("Mainstay did not answer (%s); trying again later.", type(error).__name__)
            return False
        if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            lane.failures = 0
            lane.pause = Pause()
            return True
        if _is_refusal(answer.status):
            parcel.give_up()
            _say_refused(lane, answer.status)
        else:
            parcel.put_back()
        self._back_off(lane, answer.retry_after_seconds)
        return False

    def _back_off(self, lane: _Lane, asked_seconds: float | None) -> None:
        seconds = pause_seconds(lane.failures) if asked_seconds is None else asked_seconds
        lane.failures += 1
        lane.pause = Pause(time.monotonic() + seconds, asked=asked_seconds is not None)


def pause_seconds(failures: int) -> float:
    """How long to wait after so many failures before: doubled each time, less a random part."""
    doubled = _FIRST_PAUSE_SECONDS * (1 << min(failures, 10))
    # Jitter against a thundering herd needs no cryptography.
    return min(doubled, _LONGEST_PAUSE_SECONDS) * random.uniform(0.5, 1.0)  # noqa: S311


def _say_refused(lane: _Lane, status: int) -> None:
    if not lane.said_refused:
        lane.said_refused = True
        logger.warning(
            "Mainstay refuses this app's %s with status %d and they are not kept; "
            "compare the DSN with the one on the project's page. This is said once.",
            lane.outbox.name,
            status,
        )


def _is_refusal(status: int) -> bool:
    """Whether sending the same bytes again cannot help."""
    return (
        HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
        and status not in _WORTH_ANOTHER_TRY
    )
