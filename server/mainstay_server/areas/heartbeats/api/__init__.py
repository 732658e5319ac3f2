"""The APIs of the heartbeats: our own, and Healthchecks' management API."""

from mainstay_server.kernel.web import Router

from . import badges, healthchecks, heartbeats

router = Router()
router.include_router(heartbeats.router)
router.include_router(healthchecks.router)
router.include_router(badges.router)
