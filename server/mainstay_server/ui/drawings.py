"""Small drawings the server makes itself: the geometry of sparklines and uptime strips, as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

SPARK_WIDTH, SPARK_HEIGHT = 100.0, 32.0
UPTIME_SLOTS = 90


@dataclass(frozen=True, kw_only=True)
class Spark:
    """Path data in a box of 100 by 32: the line, and the area under it."""

    line: str
    area: str


def spark(values: Sequence[float | None]) -> Spark | None:
    """Draw the known values from left to right; a gap stays a gap. None when fewer than two."""
    known = [value for value in values if value is not None]
    if len(known) < 2:  # noqa: PLR2004  # a line has two ends
        return None
    low = min(*known, 0.0) if min(known) < max(known) * 0.6 else min(known)
    spread = (max(known) - low) or 1.0
    step = SPARK_WIDTH / (len(values) - 1)
    lines, areas = [], []
    for run in _runs(values):
        points = [
            (i * step, SPARK_HEIGHT - 2 - (value - low) / spread * (SPARK_HEIGHT - 4))
            for i, value in run
        ]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        lines.append(path)
        areas.append(f"{path}V{SPARK_HEIGHT:.0f}H{points[0][0]:.1f}Z")
    return Spark(line="".join(lines), area="".join(areas))


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    runs: list[list[tuple[int, float]]] = [[]]
    for index, value in enumerate(values):
        if value is not None:
            runs[-1].append((index, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


_STATUSES = {
    "ok": "ok up healthy operational passing passed succeeded stored resolved active done verified"
    " live",
    "warn": "warn warning degraded late slow acknowledged expiring expired partial rotating",
    "critical": "critical down failed failing firing error fatal open outage banned overdue",
    "info": "info running new started maintenance scheduled monitoring investigating identified",
    "neutral": "neutral unknown paused pending disabled off none skipped revoked closed muted",
}
_TONE_OF_STATUS = {word: tone for tone, words in _STATUSES.items() for word in words.split()}


def tone_of(status: str) -> str:
    """The tone of a status word: ok, warn, critical, info or neutral (also for unknown words)."""
    return _TONE_OF_STATUS.get(status.lower(), "neutral")
