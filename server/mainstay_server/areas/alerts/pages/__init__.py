"""What people see of alerts: the panel and the tile, the history, channels, rules, deliveries."""

from mainstay_server.kernel.area import MenuEntry
from mainstay_server.kernel.web import Router

from . import (
    alert,
    channels,
    event_rules,
    history,
    measure_rules,
    routes,
    rules,
    runbooks,
    silences,
)
from .panel import panel, summary, tiles

__all__ = ["menu", "panel", "router", "summary", "tiles"]

router = Router()
for part in (
    history,
    channels,
    rules,
    measure_rules,
    event_rules,
    runbooks,
    routes,
    silences,
    alert,  # last, since its path fits those of all others
):
    router.include_router(part.router)
menu = MenuEntry(label="Alerts", page="alerts", icon="alert", group="respond", order=10)
