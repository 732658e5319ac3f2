"""Scorecard: what a careful operator asks before going live, answered from live evidence."""

from mainstay_server.kernel.area import Area

from . import api, pages

area = Area(
    name="scorecard",
    title="Scorecard",
    api=api.router,
    pages=pages.router,
    menu=(pages.menu,),
)
