"""The HTTP API of storage: for apps, and for those who administer buckets."""

from mainstay_server.kernel.web import Router

from . import apps, buckets

router = Router()
for part in (apps, buckets):
    router.include_router(part.router)
