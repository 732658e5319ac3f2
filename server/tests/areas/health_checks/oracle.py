"""What a check is and what is said of it, second by second, by nothing but the documentation.

It shares no code with the program: the past is one list with the state of every second, and each
rule is looked up in it. Slow and plain on purpose.
"""

from dataclasses import dataclass, field
from itertools import groupby, pairwise

RANK = {"healthy": 0, "degraded": 1, "unhealthy": 2}
MINUTE, HOUR = 60, 3600


@dataclass(kw_only=True)
class Script:
    """A check's settings, the maintenance planned for it, and what happens at which second."""

    interval: int
    allowed: int  # how much later than its interval a result may come
    fail_after: int
    recover_after: int
    tell_after: int
    windows: list[tuple[int, int]]
    events: list[tuple[int, str]]
    end: int


@dataclass
class Oracle:
    """Lives through a script; then `seconds` and `said` are what must be so."""

    script: Script
    seconds: list[str] = field(default_factory=list)
    said: list[tuple[int, str]] = field(default_factory=list)

    state: str = "unknown"
    since: int = 0
    disagreeing: list[str] = field(default_factory=list)
    heard_at: int | None = None
    told: str = ""
    told_at: int = 0
    flapping_since: int | None = None
    settled_from: int = 0

    def live(self) -> None:
        """Go through every second of the script."""
        events = dict(self.script.events)
        for second in range(self.script.end):
            if second % MINUTE == 0:
                self._notice_silence(second)
                self._look(second)
            if second in events:
                self._happen(second, events[second])
            self.seconds.append(self.state)
        self._notice_silence(self.script.end)  # whoever reads the past knows it too

    def _happen(self, second: int, what: str) -> None:
        if what == "pause" and self.state != "paused":
            self._notice_silence(second)
            self._become("paused", second)
            if self.told in ("degraded", "unhealthy", "flapping"):
                self.said.append((second, "stopped"))
            self.told, self.told_at, self.flapping_since = "", second, None
        elif what == "resume" and self.state == "paused":
            self._become("unknown", second)
        elif what in RANK and self.state != "paused":
            self._notice_silence(second)
            self._hear(second, what)
            self.heard_at = second

    def _hear(self, second: int, result: str) -> None:
        """A state is believed after so many results in a row that are all worse, or all better."""
        if self.state not in RANK:
            self._change(second, result)
            return
        direction = RANK[result] - RANK[self.state]
        before = [RANK[one] - RANK[self.state] for one in self.disagreeing]
        if direction == 0 or any((one > 0) != (direction > 0) for one in before):
            self.disagreeing = []
        if direction == 0:
            return
        self.disagreeing.append(result)
        needed = self.script.fail_after if direction > 0 else self.script.recover_after
        if len(self.disagreeing) >= needed:
            self._change(second, result)

    def _change(self, second: int, state: str) -> None:
        self._become(state, second)
        if self.flapping_since is None and self._flaps(second):
            self.flapping_since = second
        self._look(second)

    def _become(self, state: str, second: int) -> None:
        self.state, self.since, self.disagreeing = state, second, []

    def _notice_silence(self, second: int) -> None:
        """A result speaks for one interval, when the next comes later than what is allowed."""
        if self.state not in RANK or self.heard_at is None:
            return
        silent_from = self.heard_at + self.script.interval
        if second > silent_from + self.script.allowed:
            for past in range(silent_from, second):
                self.seconds[past] = "unknown"
            self._become("unknown", silent_from)
            self.heard_at = None

    def _flaps(self, second: int) -> bool:
        quick = min(10 * self.script.interval, HOUR)
        return self._turns(second, quick) >= 2 or self._turns(second, HOUR) >= 4

    def _turns(self, second: int, window: int) -> int:
        """How often it turned from getting worse to getting better, or back, in a while."""
        lately = [*self.seconds[max(second - window, 0) :], self.state]
        ranks = [rank for rank, _ in groupby(RANK[one] for one in lately if one in RANK)]
        worse = [one < other for one, other in pairwise(ranks)]
        return sum(one != other for one, other in pairwise(worse))

    def _look(self, second: int) -> None:
        """Whether there is something to say at this moment."""
        if self.flapping_since is not None and second >= self.since + HOUR:
            self.flapping_since, self.settled_from = None, self.since
        if self.state not in RANK:
            return
        wanted = self.state if self.flapping_since is None else "flapping"
        if wanted == self.told or (wanted != "healthy" and self._is_held(second)):
            return
        if wanted == "flapping":
            self.said.append((second, "flapping"))
        elif self.told == "flapping":
            self.said.append((second, f"settled {wanted}"))
        elif wanted != "healthy" or self.told:
            self.said.append((second, wanted))
        self.told, self.told_at = wanted, second

    def _is_held(self, second: int) -> bool:
        if any(start <= second < end for start, end in self.script.windows):
            return True
        began = self.flapping_since
        if began is None:
            began = self._differs_since(second)
        return second < began + self.script.tell_after

    def _differs_since(self, second: int) -> int:
        """The first second after the last that was as people were told."""
        first = second
        oldest = self.settled_from if self.told == "flapping" else self.told_at
        for past in range(second - 1, oldest - 1, -1):
            if self.seconds[past] == self.told:
                break
            if self.seconds[past] in RANK:
                first = past
        return first
