"""Storage: files of apps in buckets, reached by signed links, within quotas."""

from mainstay_server.kernel.area import Area

from . import api, ingest, jobs, pages, reactions, readiness
from .service.measures import STORAGE
from .settings import StorageSettings

area = Area(
    name="storage",
    title="Storage",
    api=api.router,
    pages=pages.router,
    plain_routes=ingest.plain_routes,
    reactions=(reactions.give_room_back,),
    jobs=(
        jobs.settle_uploads,
        jobs.reconcile,
        jobs.sweep,
        jobs.remove_lost_buckets,
        jobs.record_day,
        jobs.forget,
    ),
    readiness=(readiness.storage_works,),
    settings=(StorageSettings,),
    menu=(pages.menu,),
    measures=(STORAGE,),
)
