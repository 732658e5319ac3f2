"""When sessions and tokens were last used: noted in memory, written once a minute, all together."""

import asyncio
import threading
from contextlib import suppress
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from mainstay_server.kernel.area import Loop, StopSignal
from mainstay_server.kernel.database import transaction

from .models import AccessToken, SignInSession

WRITE_EVERY_SECONDS = 60
MOST_NOTED = 50_000


class _Noted:
    """What was used since the last writing; a crash loses at most a minute of it."""

    lock = threading.Lock()
    sessions: dict[str, datetime] = {}  # noqa: RUF012 - replaced under the lock
    tokens: dict[str, datetime] = {}  # noqa: RUF012 - replaced under the lock


def note_use(*, session_id: str, token_id: str, now: datetime) -> None:
    """Note that a session or token was used now; costs a request no database write."""
    with _Noted.lock:
        noted = _Noted.sessions if session_id else _Noted.tokens
        if len(noted) < MOST_NOTED:
            noted[session_id or token_id] = now


def write_uses(session: Session) -> int:
    """Write down what was noted since the last time; returns how many rows that were."""
    with _Noted.lock:
        sessions, _Noted.sessions = _Noted.sessions, {}
        tokens, _Noted.tokens = _Noted.tokens, {}
    for session_id, at in sessions.items():
        session.execute(
            sa.update(SignInSession)
            .where(SignInSession.id == session_id, SignInSession.last_seen_at < at)
            .values(last_seen_at=at)
        )
    for token_id, at in tokens.items():
        session.execute(
            sa.update(AccessToken).where(AccessToken.id == token_id).values(last_used_at=at)
        )
    return len(sessions) + len(tokens)


async def _keep_writing(stop: StopSignal) -> None:
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), timeout=WRITE_EVERY_SECONDS)
        await run_in_threadpool(_write)


def _write() -> None:
    if _Noted.sessions or _Noted.tokens:
        with transaction() as session:
            write_uses(session)


last_uses = Loop(name="last-uses", role="web", run=_keep_writing)
