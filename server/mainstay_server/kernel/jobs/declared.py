"""How an area declares a job, and when its next turn is."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from cronsim import CronSim

from mainstay_server.kernel.naming import name_of

Task = Literal["health", "backup", "cleanup"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One piece of repeated work.

    In a transaction (the default) it is `def f(session, *, now)`: its changes and its being done
    are committed together. Otherwise it is `def f(*, now)`, opens transactions of its own, and may
    be run again after a crash in its middle, so it has to be idempotent.

    `task` is the word by which `/api/cron` runs it from outside. `at_start` makes it due when a
    worker starts, too: for what mends the traces of a crash. `is_long` is what may take minutes,
    such as reading a store: of those a process runs only so many at once that others find a place.
    """

    name: str
    function: Callable[..., object]
    every: timedelta | None
    cron: str
    task: Task | None
    in_transaction: bool
    at_start: bool
    is_long: bool

    def next_turn(self, after: datetime) -> datetime:
        """The first moment later than `after` on this job's absolute schedule (UTC).

        Turns are multiples of `every` since the epoch: a restart neither skips nor adds one, and
        what was missed while nothing ran is done once, not once per missed turn.
        """
        if self.every is None:
            return next(CronSim(self.cron, after.astimezone(UTC)))
        seconds = self.every.total_seconds()
        return datetime.fromtimestamp((after.timestamp() // seconds + 1) * seconds, tz=UTC)


def job(
    *,
    every: timedelta | None = None,
    cron: str = "",
    task: Task | None = None,
    in_transaction: bool = True,
    at_start: bool = False,
    is_long: bool = False,
) -> Callable[[Callable[..., object]], Job]:
    """Mark a function as a job, with either an interval or a cron expression in UTC."""
    if (every is None) == (not cron):
        raise ValueError("a job has either an interval or a cron expression")

    def mark(function: Callable[..., object]) -> Job:
        return Job(
            name=name_of(function),
            function=function,
            every=every,
            cron=cron,
            task=task,
            in_transaction=in_transaction,
            at_start=at_start,
            is_long=is_long,
        )

    return mark
