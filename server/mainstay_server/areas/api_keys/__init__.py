"""API keys: what a project gives to its users to open its API, told apart, limited, replaced."""

from mainstay_server.contracts.guard import plans_of_owners
from mainstay_server.kernel.area import Area
from mainstay_server.kernel.guard import GuardStep

from . import api, jobs, pages, readiness
from .service import deciding, listing, publishing
from .settings import ApiKeyAreaSettings

area = Area(
    name="api_keys",
    title="API keys",
    api=api.router,
    pages=pages.router,
    jobs=(jobs.note_last_uses, jobs.remind, jobs.forget_dead_keys),
    readiness=(
        readiness.keys_are_rotated,
        readiness.production_keys_end,
        readiness.keys_are_narrow,
        readiness.old_keys_rest,
    ),
    settings=(ApiKeyAreaSettings,),
    answers=(plans_of_owners.answered_by(listing.plans_of_owners),),
    panels=(pages.panel,),
    menu=(pages.menu,),
    guard=(
        GuardStep(
            section="keys",
            order=40,
            publish=publishing.publish_section,
            compile=deciding.compile_section,
            decide=deciding.decide,
        ),
    ),
)
