"""Waiting for a policy to change: woken by who changed it, or by a look twice a second."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from mainstay_server.kernel import shared
from mainstay_server.kernel.area import StopSignal
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.guard import CHANNEL
from mainstay_server.kernel.problems import Unavailable
from mainstay_server.kernel.web.stopping import when_stopping

from .policies import Policy, mark_stale, versions_of

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

LOOK_EVERY_SECONDS = 0.5
MOST_ASKED = 900

_waiters: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
_waited_for: dict[str, int] = {}


class _Server:
    """Whether the server is asked to end: then nobody waits any more."""

    stopping = False


async def wait_for_change(policy: Policy, seconds: float, receive: Receive) -> bool:
    """Wait until this version of a policy is perhaps not the newest, or the time is over.

    Returns False when the time is over, the client went away, or the server is asked to end.
    """
    if _Server.stopping:
        return False
    instance_id = policy.instance.id
    changed = asyncio.Event()
    waiters = _waiters[instance_id]
    waiters.add(changed)
    _waited_for[instance_id] = policy.version
    gone = asyncio.ensure_future(_gone(receive))
    waiting = asyncio.ensure_future(changed.wait())
    try:
        await asyncio.wait({gone, waiting}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return changed.is_set() and not _Server.stopping
    finally:
        gone.cancel()
        waiting.cancel()
        waiters.discard(changed)
        if not waiters:
            _waiters.pop(instance_id, None)
            _waited_for.pop(instance_id, None)


async def follow_policies(stop: StopSignal) -> None:
    """Hear what other processes change, and look at the versions of what somebody waits for.

    The word through the shared store comes within milliseconds; the look twice a second is for
    when it was lost.
    """
    loop = asyncio.get_running_loop()

    def heard(payload: bytes) -> None:
        instance_id = payload.decode()
        mark_stale(instance_id)
        loop.call_soon_threadsafe(_wake, instance_id)

    def end_waiting() -> None:
        _Server.stopping = True
        _wake("")

    _Server.stopping = False
    forget = when_stopping(end_waiting)
    unsubscribe = await asyncio.to_thread(shared.subscribe, CHANNEL, heard)
    stopped = asyncio.ensure_future(stop.wait())
    try:
        while not stop.is_set():
            await asyncio.wait({stopped}, timeout=LOOK_EVERY_SECONDS)
            if _waited_for:
                await _look(dict(list(_waited_for.items())[:MOST_ASKED]))
    finally:
        stopped.cancel()
        unsubscribe()
        forget()
        _wake("")


async def _look(waited_for: dict[str, int]) -> None:
    def ask() -> dict[str, int]:
        with reading() as session:
            return versions_of(session, list(waited_for))

    try:
        versions = await asyncio.to_thread(ask)
    except Unavailable:
        return
    for instance_id, version in waited_for.items():
        if versions.get(instance_id, 0) != version:
            mark_stale(instance_id)
            _wake(instance_id)


def _wake(instance_id: str) -> None:
    for name in [instance_id] if instance_id else list(_waiters):
        for changed in list(_waiters.get(name, ())):
            changed.set()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
