"""One Mainstay process: opens its stores, runs its roles, and ends them in order."""

import asyncio
import gc
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import uvicorn
import uvloop

from mainstay_server.kernel.area import Loop, installed
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.events import OutboxRunner
from mainstay_server.kernel.jobs import JobRunner
from mainstay_server.kernel.settings import ServerSettings, UnsafeSetting, of
from mainstay_server.tenancy.service.setup import prepare_first_start

from .assembly import close_stores, lease, open_stores
from .connections import Crowd, allow_files, most_connections
from .http_protocol import KEEP_ALIVE_SECONDS, LimitedProtocol
from .http_server import HttpServer
from .telemetry import watch_connections
from .web import create_app

log = logging.getLogger(__name__)

ROLES = ("web", "worker", "probe")
GRACE_SECONDS = 10
BACKLOG = 2048
COLLECTED_EVERY = 20_000
"""So many new objects are looked through for cycles at once, where Python's 700 are those of ten
requests: whatever waits for its answer was looked at again and again, a tenth of what the event
loop did."""
MIB = 1 << 20
# Of the waiting room: what may be held of bodies that are still arriving, or not answered yet.
ARRIVING_ROOMS = 4


@dataclass
class Started:
    """What a process says once it answers."""

    url: str
    set_up_path: str | None
    roles: Sequence[str] = field(default_factory=tuple)


def run(*, roles: Sequence[str], on_started: Callable[[Started], None]) -> None:
    """Run the roles until the process is asked to end (SIGINT, SIGTERM); then end in order.

    What was accepted is stored before the stores are closed. Settings have been folded already.
    """
    crowd = _crowd()
    open_stores()
    try:
        with transaction() as session:
            set_up_path = prepare_first_start(session, now=utc_now())
        runners = _runners(roles)
        for runner in runners:
            runner.start()
        # What was loaded so far lives as long as the process: no collection need look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(COLLECTED_EVERY)
        gc.enable()
        try:
            # Twice the requests per second of the standard loop on the ingest doors.
            uvloop.run(_serve(roles, crowd, set_up_path, on_started))
        finally:
            for runner in runners:
                runner.stop(timeout_seconds=GRACE_SECONDS)
    finally:
        close_stores()


def _crowd() -> Crowd:
    settings = of(ServerSettings)
    crowd = Crowd(
        most=most_connections(settings.max_connections, files=allow_files()),
        proxies=settings.trusted_proxies,
        most_arriving_bytes=ARRIVING_ROOMS * settings.waiting_room_mib * MIB,
    )
    watch_connections(crowd)
    return crowd


def _runners(roles: Sequence[str]) -> list[OutboxRunner | JobRunner]:
    if "worker" not in roles:
        return []
    return [OutboxRunner(lease=lease()), JobRunner(lease=lease())]


async def _serve(
    roles: Sequence[str],
    crowd: Crowd,
    set_up_path: str | None,
    on_started: Callable[[Started], None],
) -> None:
    settings = of(ServerSettings)
    server = HttpServer(
        uvicorn.Config(
            create_app(installed() if "web" in roles else ()),
            http=LimitedProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # the doors trust nobody; pages and API are wrapped in web.py
            lifespan="off",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        ),
        crowd,
    )
    listening = _listen(settings.host, settings.port)
    stop = asyncio.Event()
    loops = [
        asyncio.create_task(_keep_running(loop, stop), name=loop.name)
        for area in installed()
        for loop in area.loops
        if loop.role in roles
    ]
    announcing = asyncio.create_task(_announce(server, listening, roles, set_up_path, on_started))
    try:
        await server.serve(sockets=[listening])
    finally:
        stop.set()
        announcing.cancel()
        await asyncio.wait([announcing, *loops], timeout=GRACE_SECONDS)
        for task in loops:
            task.cancel()


def _listen(host: str, port: int) -> socket.socket:
    """Bind here and not in the server, so that port 0 is known before anything is announced."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        raise UnsafeSetting(
            f"{host} port {port} cannot be listened on ({error.strerror}); choose another --port."
        ) from error
    listening.listen(BACKLOG)
    listening.set_inheritable(False)
    return listening


async def _announce(
    server: HttpServer,
    listening: socket.socket,
    roles: Sequence[str],
    set_up_path: str | None,
    on_started: Callable[[Started], None],
) -> None:
    while not server.started:  # noqa: ASYNC110 - it has no event to wait for; takes milliseconds
        await asyncio.sleep(0.01)
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    url = of(ServerSettings).base_url or f"http://{shown}:{port}"
    on_started(Started(url=url.rstrip("/"), set_up_path=set_up_path, roles=roles))


async def _keep_running(loop: Loop, stop: asyncio.Event) -> None:
    """Run an area's loop; one that failed is a bug, is logged, and begins again after a second."""
    while not stop.is_set():
        try:
            await loop.run(stop)
        except Exception:  # noqa: PERF203 - begun again once a second at most
            log.exception("the loop %s failed; starting it again", loop.name)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), timeout=1)
