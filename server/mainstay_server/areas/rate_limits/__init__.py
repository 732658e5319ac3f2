"""Rate limits: how often the API of an instance may be called, by whom, and what it tells them."""

from mainstay_server.kernel.area import Area
from mainstay_server.kernel.guard import GuardStep

from . import api, jobs, pages, readiness
from .service import deciding

area = Area(
    name="rate_limits",
    title="Rate limits",
    api=api.router,
    pages=pages.router,
    jobs=(jobs.tell_of_limited,),
    readiness=(readiness.every_endpoint_is_limited, readiness.no_limit_only_simulates),
    panels=(pages.panel,),
    menu=(pages.menu,),
    guard=(
        GuardStep(
            section="limits",
            order=50,
            publish=deciding.publish_section,
            compile=deciding.compile_section,
            decide=deciding.decide,
        ),
    ),
)
