"""Status pages: tell everybody how it is, within a second, also while the database is away."""

from mainstay_server.contracts.status_pages import list_status_pages, tell_on_status_page
from mainstay_server.kernel.area import Area

from . import api, configured, ingest, jobs, pages, reactions, readiness
from .service import asked
from .settings import StatusPageSettings

area = Area(
    name="status_pages",
    title="Status pages",
    api=api.router,
    pages=pages.router,
    plain_trees=ingest.trees,
    jobs=(jobs.tend_reports, jobs.write_snapshots, jobs.remove_unconfirmed),
    loops=(jobs.keep_pages,),
    reactions=(reactions.spread_update, reactions.send_notice, reactions.send_confirmation),
    readiness=(readiness.users_can_see,),
    answers=(
        list_status_pages.answered_by(asked.list_seen),
        tell_on_status_page.answered_by(asked.tell),
    ),
    settings=(StatusPageSettings,),
    menu=(pages.menu,),
    organization_menu=(pages.organization_entry,),
    configured=(configured.STATUS_PAGES,),
)
