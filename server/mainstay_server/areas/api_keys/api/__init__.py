"""The HTTP API of the keys: for those who give them out, and for those who find them."""

from mainstay_server.kernel.web import Router

from . import keys, leaks

router = Router()
for part in (keys, leaks):
    router.include_router(part.router)
