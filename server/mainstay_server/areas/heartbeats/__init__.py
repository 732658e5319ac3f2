"""Heartbeats: notice when something that should report in goes silent."""

from mainstay_server.kernel.area import Area

from . import api, configured, ingest, jobs, pages, readiness
from .service import watches
from .settings import HeartbeatSettings

area = Area(
    name="heartbeats",
    title="Heartbeats",
    api=api.router,
    pages=pages.router,
    doors=ingest.doors,
    plain_routes=ingest.plain_routes,
    envelope_items=ingest.envelope_items,
    jobs=(jobs.mark_overdue_heartbeats,),
    loops=(jobs.doors, *ingest.loops),
    readiness=(readiness.every_heartbeat_has_reported_once,),
    settings=(HeartbeatSettings,),
    menu=(pages.menu,),
    watches=watches.HEARTBEATS,
    configured=(configured.HEARTBEATS,),
)
