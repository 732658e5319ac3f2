"""How the pages of health checks say things: lights, tones, strips and rhythms."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mainstay_server.kernel.watching import State
from mainstay_server.ui.drawings import tone_of

# The word of each state that the drawings know a shape and a colour for.
LIGHTS = {state: state.value for state in State} | {
    State.UNHEALTHY: "down",
    State.UNREACHABLE: "unknown",
}
TARGET_UPTIME_PERCENT = 99.9
POOR_UPTIME_PERCENT = 99.0
TONES = {
    State.HEALTHY: "ok",
    State.DEGRADED: "warn",
    State.UNHEALTHY: "critical",
}
SLOT_WIDTH = 4


@dataclass(frozen=True, kw_only=True)
class Run:
    """Slots of one state next to each other, as one rectangle of a strip."""

    x: int
    width: int
    tone: str
    title: str


def tone_of_uptime(percent_up: float | None) -> str:
    """How an uptime is coloured wherever it is shown (REQUIREMENTS D13: 99.9 % is the target)."""
    if percent_up is None:
        return "neutral"
    if percent_up < POOR_UPTIME_PERCENT:
        return "critical"
    return "warn" if percent_up < TARGET_UPTIME_PERCENT else "ok"


def every(seconds: int) -> str:
    """`every 30 s`, `every 5 min`, `every 2 h`."""
    for size, unit in ((3_600, "h"), (60, "min")):
        if not seconds % size:
            return f"every {seconds // size} {unit}"
    return f"every {seconds} s"


def strip_of(slots: Sequence[tuple[datetime, State | None]], *, until: datetime) -> list[Run]:
    """The slots as few rectangles: a check that was well all day is one."""
    width = (until - slots[0][0]) / len(slots) if slots else timedelta()
    runs: list[Run] = []
    first = 0
    for index in range(1, len(slots) + 1):
        if index < len(slots) and slots[index][1] == slots[first][1]:
            continue
        state = slots[first][1]
        began, ended = slots[first][0], slots[index - 1][0] + width
        runs.append(
            Run(
                x=first * SLOT_WIDTH,
                width=(index - first) * SLOT_WIDTH,
                tone=tone_of(LIGHTS[state]) if state else "neutral",
                title=f"{began:%d %b %H:%M} to {ended:%H:%M} UTC: {state or 'no data'}",
            )
        )
        first = index
    return runs
