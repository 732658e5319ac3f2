"""Scorecard: what a careful operator asks before going live, answered from live evidence."""

from mainstay_server.contracts.scorecard import open_findings
from mainstay_server.kernel.area import Area

from . import api, pages, service

area = Area(
    name="scorecard",
    title="Scorecard",
    api=api.router,
    pages=pages.router,
    answers=(open_findings.answered_by(service.open_findings),),
    menu=(pages.menu,),
)
