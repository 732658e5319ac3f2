"""An app's own health document: what it says of itself, and of each thing that it depends on."""

from dataclasses import dataclass
from typing import Any

import msgspec

from mainstay_server.kernel.outbound import Response

MOST_PARTS = 50
MOST_NAMED = 5
LONGEST_NAME = 100
LONGEST_REASON = 200
STATES = {
    "healthy": "healthy",
    "degraded": "degraded",
    "unhealthy": "unhealthy",
    # The words of other conventions for the same three.
    "pass": "healthy",
    "warn": "degraded",
    "fail": "unhealthy",
    "ok": "healthy",
    "up": "healthy",
    "down": "unhealthy",
}


class _Document(msgspec.Struct):
    """REQUIREMENTS T1: what an app says of itself; other members are not looked at."""

    status: str
    checks: dict[str, Any] = {}


@dataclass(frozen=True, kw_only=True)
class Line:
    """What a document says of one dependency. `state` is healthy, degraded or unhealthy."""

    name: str
    state: str
    response_ms: float | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class Document:
    """A document as it was read; `state` is empty where its status is no known word."""

    state: str
    lines: tuple[Line, ...]

    @property
    def blamed(self) -> str:
        """The parts that are not well, as they follow a reason; empty when all are."""
        named = [f"{line.name} {line.state}" for line in self.lines if line.state != "healthy"]
        return f": {', '.join(named[:MOST_NAMED])}" if named else ""


def read_document(response: Response) -> Document | None:
    """The health document in an answer; None when there is none that can be read."""
    if response.truncated or "json" not in response.headers.get("content-type", ""):
        return None
    try:
        found = msgspec.json.decode(response.body, type=_Document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    lines = [_line(name, said) for name, said in list(found.checks.items())[:MOST_PARTS]]
    return Document(
        state=STATES.get(found.status.lower(), ""),
        lines=tuple(line for line in lines if line is not None),
    )


def _line(name: str, said: object) -> Line | None:
    """One dependency; None for what does not tell its state in a known word."""
    if isinstance(said, str):
        said = {"status": said}
    status = said.get("status") if isinstance(said, dict) else None
    state = STATES.get(status.lower()) if isinstance(status, str) else None
    if state is None or not isinstance(said, dict):
        return None
    took = said.get("responseTime")
    why = next((said[key] for key in ("message", "error", "output") if said.get(key)), "")
    return Line(
        name=name[:LONGEST_NAME],
        state=state,
        response_ms=float(took) if isinstance(took, int | float) and took >= 0 else None,
        reason=str(why)[:LONGEST_REASON] if isinstance(why, str) else "",
    )
