"""What others may ask of the scorecard: how ready an instance is, and what is left to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.kernel.ports import port
from mainstay_server.kernel.subjects import InstanceRef


@dataclass(frozen=True, kw_only=True)
class OpenFinding:
    """One thing that is left to do; `blocks` when going live should wait for it."""

    question: str
    problem: str
    fix: str
    blocks: bool


@port
def open_findings(
    session: Session, instance: InstanceRef, *, now: datetime
) -> Sequence[OpenFinding]:
    """What every readiness check finds wrong with an instance now, the gravest first."""
    raise NotImplementedError
