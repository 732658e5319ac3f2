"""Synced folders: a folder of several machines, kept as snapshots of chunks that lie here once."""

from mainstay_server.kernel.area import Area

from . import api, jobs, pages
from .settings import SyncSettings

area = Area(
    name="sync",
    title="Synced folders",
    api=api.router,
    pages=pages.router,
    jobs=(jobs.sweep_chunks,),
    settings=(SyncSettings,),
    menu=(pages.menu,),
)
