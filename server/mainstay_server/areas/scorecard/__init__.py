"""Scorecard: what a careful operator asks before going live, answered from live evidence."""

from mainstay_server.kernel.area import Area, MenuEntry

from . import api, pages

area = Area(
    name="scorecard",
    title="Scorecard",
    api=api.router,
    pages=pages.router,
    menu=(
        MenuEntry(label="Scorecard", page="scorecard", icon="scorecard", group="ship", order=10),
    ),
)
