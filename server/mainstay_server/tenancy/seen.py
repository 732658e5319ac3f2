"""When sessions and tokens were last used: noted in memory, written once a minute, all together."""

import asyncio
import threading
from contextlib import suppress
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from mainstay_server.kernel import shared
from mainstay_server.kernel.area import Loop, StopSignal
from mainstay_server.kernel.database import transaction

from .models import AccessToken, SignInSession

WRITE_EVERY_SECONDS = 60
TELL_EVERY_SECONDS = 2
HEARD_FOR = timedelta(days=30)
MOST_NOTED = 50_000


class _Noted:
    """What was used since the last writing; a crash loses at most a minute of it."""

    lock = threading.Lock()
    sessions: dict[str, datetime] = {}  # noqa: RUF012 - replaced under the lock
    tokens: dict[str, datetime] = {}  # noqa: RUF012 - replaced under the lock
    senders: set[str] = set()  # noqa: RUF012 - only ever grows
    untold: list[str] = []  # noqa: RUF012 - taken from its end


def note_use(*, session_id: str, token_id: str, now: datetime) -> None:
    """Note that a session or token was used now; costs a request no database write."""
    with _Noted.lock:
        noted = _Noted.sessions if session_id else _Noted.tokens
        if len(noted) < MOST_NOTED:
            noted[session_id or token_id] = now


def note_sender(project_id: str) -> None:
    """Note that a project has sent something; costs a look-up in a set."""
    if project_id not in _Noted.senders and len(_Noted.senders) < MOST_NOTED:
        _Noted.senders.add(project_id)
        _Noted.untold.append(project_id)


def has_sent(project_id: str) -> bool:
    """Whether any process heard of a project in the last days; for pages that wait for it."""
    return project_id in _Noted.senders or shared.get(f"heard:{project_id}") is not None


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
    turns = 0
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), timeout=TELL_EVERY_SECONDS)
        turns += 1
        if _Noted.untold:
            await run_in_threadpool(_tell)
        if turns % (WRITE_EVERY_SECONDS // TELL_EVERY_SECONDS) == 0:
            await run_in_threadpool(_write)
    await run_in_threadpool(_tell)
    await run_in_threadpool(_write)


def _tell() -> None:
    while _Noted.untold:
        shared.put(f"heard:{_Noted.untold.pop()}", b"1", expires_after=HEARD_FOR)


def _write() -> None:
    if _Noted.sessions or _Noted.tokens:
        with transaction() as session:
            write_uses(session)


last_uses = Loop(name="last-uses", role="web", run=_keep_writing)
