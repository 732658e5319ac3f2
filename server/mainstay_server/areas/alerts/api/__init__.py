"""The HTTP API of alerts, as REQUIREMENTS P9 names it, with rules and delivery history beside."""

from mainstay_server.kernel.web import Router

from . import (
    alerts,
    channels,
    event_rules,
    measure_rules,
    notifications,
    routes,
    rules,
    runbooks,
    silences,
)

router = Router()
for part in (
    alerts,
    channels,
    rules,
    measure_rules,
    event_rules,
    runbooks,
    notifications,
    routes,
    silences,
):
    router.include_router(part.router)
