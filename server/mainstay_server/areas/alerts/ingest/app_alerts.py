"""The door through which apps send alerts of their own."""

from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from mainstay_server.areas.alerts.service import app_alerts
from mainstay_server.kernel.area import Door
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.problems import MethodNotAllowed
from mainstay_server.kernel.web.incoming import read_incoming
from mainstay_server.tenancy.senders import find_sender, instance_for

MOST_BYTES = 1024 * 1024
STORED = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"2")],
}


async def receive_alerts(scope: Scope, receive: Receive, send: Send, number: int) -> None:
    """Store alerts; 200 means stored, and each is heard once however often it is sent."""
    if scope["method"] != "POST":
        raise MethodNotAllowed("Alerts are sent with POST.")
    sender = find_sender(scope, number)
    batch = app_alerts.read_batch(await read_incoming(scope, receive, most_bytes=MOST_BYTES))
    instance = await run_in_threadpool(instance_for, sender, batch.environment)

    def store() -> None:
        with transaction() as session:
            app_alerts.record_batch(session, instance, batch, now=utc_now())

    await run_in_threadpool(store)
    await send(STORED)
    await send({"type": "http.response.body", "body": b"{}"})


door = Door(path="alerts/", app=receive_alerts)
