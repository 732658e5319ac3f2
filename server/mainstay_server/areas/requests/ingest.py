"""The door through which SDKs report the requests that their app served."""

from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from mainstay_server.kernel import columns
from mainstay_server.kernel.area import Door
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import MethodNotAllowed
from mainstay_server.kernel.web.incoming import read_incoming
from mainstay_server.tenancy.senders import find_sender, instance_for, known_instance

from . import service
from .columns import REQUEST_LOSSES, REQUEST_METRICS
from .schemas import RequestBatch

MOST_BYTES = 2 * 1024 * 1024
STORED = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"2")],
}


async def receive_requests(scope: Scope, receive: Receive, send: Send, number: int) -> None:
    """Store one batch; 200 means stored, and once however often it is sent."""
    if scope["method"] != "POST":
        raise MethodNotAllowed("Batches of requests are sent with POST.")
    sender = find_sender(scope, number)
    batch = service.read_batch(await read_incoming(scope, receive, most_bytes=MOST_BYTES))
    instance = known_instance(sender, batch.environment)
    if instance is None:
        instance = await run_in_threadpool(instance_for, sender, batch.environment)
    now = utc_now()
    if batch.requests:
        rows = service.rows_of(batch, instance_id=instance.id, received_at=now)
        await _store(REQUEST_METRICS, rows, instance.id, batch, rows=len(batch.requests))
    if batch.dropped:
        row = service.loss_of(batch, instance_id=instance.id, received_at=now)
        await _store(REQUEST_LOSSES, row, instance.id, batch, rows=1)
    await send(STORED)
    await send({"type": "http.response.body", "body": b"{}"})


async def _store(
    table: columns.Table, body: bytes, instance_id: str, batch: RequestBatch, *, rows: int
) -> None:
    if batch.batch_id is None:
        await columns.append(table, body, rows=rows)
    else:
        await columns.append_once(table, body, rows=rows, batch=f"{instance_id}:{batch.batch_id}")


door = Door(path="requests/", app=receive_requests)
