"""Maintenance, as far as watching needs it: spans in which trouble is expected."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy.orm import Session

from mainstay_server.kernel.subjects import Watched

from .models import Watchable


class Span(Protocol):
    """From its start up to but not including its end."""

    @property
    def started_at(self) -> datetime:
        """Its start."""

    @property
    def ended_at(self) -> datetime:
        """Its end."""


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A span of its own."""

    started_at: datetime
    ended_at: datetime


def disjoint(spans: Iterable[Span]) -> list[Stretch]:
    """Spans in order, those that overlap or touch as one: what maintenance is taken out by."""
    joined: list[Stretch] = []
    for span in sorted(spans, key=lambda each: each.started_at):
        started_at, ended_at = span.started_at, span.ended_at
        if joined and started_at <= joined[-1].ended_at:
            last = joined.pop()
            started_at, ended_at = last.started_at, max(last.ended_at, ended_at)
        joined.append(Stretch(started_at=started_at, ended_at=ended_at))
    return joined


class AskWindows(Protocol):
    """The port of whoever plans maintenance; see `contracts.maintenance.windows_over`."""

    @property
    def is_answered(self) -> bool:
        """Whether anybody does."""

    def __call__(
        self,
        session: Session,
        instance_id: str,
        tags: Sequence[str],
        subject_id: str,
        *,
        since: datetime,
        until: datetime,
    ) -> Sequence[Span]:
        """The windows that cover a subject and overlap a range, in order and disjoint."""


class _Installed:
    ask: AskWindows | None = None


def install_windows(ask: AskWindows | None) -> None:
    """Say whom to ask for maintenance, since the kernel knows no area; None: there is none."""
    _Installed.ask = ask


def windows_of(
    session: Session, subject: Watchable | Watched, *, since: datetime, until: datetime
) -> Sequence[Span]:
    """The maintenance of a subject that overlaps a range, in order and disjoint."""
    ask = _Installed.ask
    if ask is None or not ask.is_answered:
        return ()
    return ask(session, subject.instance_id, subject.tags, subject.id, since=since, until=until)
