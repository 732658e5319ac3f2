"""Leases: who works on what, so that a killed worker's work is taken over, once.

A lease has an owner, a fence (a number that grows with every claim) and an end. A worker renews
it while it works and names the fence when it finishes: one that was taken over meanwhile learns
so from its own last statement and leaves no trace.
"""

import os
import socket
from dataclasses import dataclass

import psutil
import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session
from typing_extensions import override


@dataclass(frozen=True)
class Owner:
    """This process, told apart from an earlier one that had the same process id."""

    host: str
    process_id: int
    started_at_ms: int

    @override
    def __str__(self) -> str:
        return f"{self.host}/{self.process_id}/{self.started_at_ms}"


def this_process() -> Owner:
    """The owner that this process writes into the leases it takes."""
    pid = os.getpid()
    return Owner(socket.gethostname(), pid, _started_at_ms(pid) or 0)


def is_certainly_dead(owner: str) -> bool:
    """Whether the owner ran on this host and its process is gone.

    Lets a restart take over at once what its predecessor held when it was killed; an owner on
    another host, or one that cannot be read, may be alive: its lease has to run out.
    """
    parts = owner.rsplit("/", 2)
    if len(parts) != len(("host", "process", "start")) or parts[0] != socket.gethostname():
        return False
    started = _started_at_ms(int(parts[1]))
    return started is None or started != int(parts[2])


def dead_owners(
    session: Session, owner: InstrumentedAttribute[str], *among: sa.ColumnElement[bool]
) -> list[str]:
    """The owners in a column that are certainly dead: what they hold may be freed at once."""
    held = session.scalars(sa.select(owner).where(owner != "", *among).distinct())
    return [each for each in held if is_certainly_dead(each)]


def _started_at_ms(process_id: int) -> int | None:
    try:
        return int(psutil.Process(process_id).create_time() * 1000)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
