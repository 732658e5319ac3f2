"""Counting: what was stored is added to the counts of its issues, a moment after its answer."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from mainstay_server.kernel import clock, database
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.subjects import InstanceRef

from .folding import Place, Seen, fold
from .rows import Row

log = logging.getLogger(__name__)

SPACING_SECONDS = 1.0
QUIET_SECONDS = 0.08
"""Under load so much lies between two transactions, as each costs about 5 ms however little it
holds; what is followed by no other batch for `QUIET_SECONDS`, in which a busy intake gathers and
stores one, is counted then, and an event that comes to a quiet server at once."""

MOST_WAITING = 1_000
"""So many pairs of issue and instance may wait; more waits in front of the columns."""


@dataclass(slots=True)
class Pending:
    """What was stored under one name of the intake and is not in the counts yet."""

    name: str
    number: int = 0
    seen: dict[tuple[str, str], Seen] = field(default_factory=dict)


class Counting:
    """One thread that folds the batches of an intake, several in one transaction.

    Stored batches of a name are folded in order, each once: a transaction holds all batches that
    follow the last one folded, and is only valid if that is still the last, as the job that
    finishes what crashes leave may have come in between. A name whose transaction failed is broken:
    nothing more is folded of it here, the intake takes another, and that job finishes it.
    """

    def __init__(self, *, owner: str, broke: Callable[[], None]) -> None:
        self._owner = owner
        self._broke = broke
        self._pending: list[Pending] = []
        self._broken: set[str] = set()
        self._folded = ("", 0)
        self._changed = threading.Condition()
        self._working = self._closing = self._ended = False
        self._thread = threading.Thread(target=self._run, name="errors-counting", daemon=True)
        self._thread.start()

    def add(self, name: str, number: int, rows: Iterable[tuple[Row, InstanceRef]]) -> None:
        """Have a stored batch counted soon."""
        with self._changed:
            if not self._pending or self._pending[-1].name != name:
                self._pending.append(Pending(name))
            pending = self._pending[-1]
            pending.number = number
            see(pending.seen, rows)
            self._changed.notify_all()

    def wait_for_room(self) -> None:
        """Return when not too much waits to be counted."""
        with self._changed:
            while not self._ended and sum(len(one.seen) for one in self._pending) > MOST_WAITING:
                self._changed.wait()

    def wait_until_counted(self) -> None:
        """Return when what was added before is in the counts, or was left to the job."""
        with self._changed:
            while not self._ended and (self._pending or self._working):
                self._changed.wait()

    def is_broken(self, name: str) -> bool:
        """Whether batches of a name are left to the job, so that it must not be used any more."""
        return name in self._broken

    def close(self) -> None:
        """Count what waits, then end."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        began = -SPACING_SECONDS
        try:
            while batches := self._take(not_before=began + SPACING_SECONDS):
                began = time.monotonic()
                for pending in batches:
                    self._count(pending)
        except BaseException:
            self._broke()
            raise
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _take(self, *, not_before: float) -> list[Pending]:
        """What waits, as soon as it may be folded; nothing when there is none and never will be."""
        with self._changed:
            self._working = False
            self._changed.notify_all()
            while not self._closing:
                left_seconds = not_before - time.monotonic()
                if not self._pending:
                    self._changed.wait()
                elif left_seconds <= 0 or not self._changed.wait(min(left_seconds, QUIET_SECONDS)):
                    break
            batches, self._pending = self._pending, []
            self._working = True
            return batches

    def _count(self, pending: Pending) -> None:
        if self.is_broken(pending.name):
            return
        name, last = self._folded
        place = Place(
            intake=pending.name,
            owner=self._owner,
            number=pending.number,
            follows=last if name == pending.name else 0,
        )
        try:
            with database.transaction() as session:
                done = fold(session, list(pending.seen.values()), place, now=clock.utc_now())
        except (Problem, SQLAlchemyError) as error:
            log.warning("stored error events will be counted later: %s", error)
            done = False
        if done:
            self._folded = pending.name, pending.number
        else:
            self._broken.add(pending.name)


def see(found: dict[tuple[str, str], Seen], rows: Iterable[tuple[Row, InstanceRef]]) -> None:
    """Add rows to what was seen per issue and instance."""
    for row, instance in rows:
        seen = found.get((row.issue_id, row.instance_id))
        if seen is None:
            found[row.issue_id, row.instance_id] = Seen(
                issue_id=row.issue_id,
                instance=instance,
                grouping_hash=row.grouping_hash,
                title=row.title,
                culprit=row.culprit,
                level=row.level,
                release=row.release,
                first_seen=row.received_at,
                last_seen=row.received_at,
                count=1,
            )
            continue
        seen.count += 1
        seen.release = row.release or seen.release
        seen.first_seen = min(seen.first_seen, row.received_at)
        seen.last_seen = max(seen.last_seen, row.received_at)
