"""Errors: what Sentry's SDKs send, grouped into issues that people work on."""

from mainstay_server.kernel.area import Area

from . import api, ingest, jobs, pages, readiness
from .columns import ERROR_EVENTS
from .service.measures import ERRORS
from .settings import ErrorsSettings

area = Area(
    name="errors",
    title="Errors",
    api=api.router,
    pages=pages.router,
    doors=ingest.doors,
    jobs=(jobs.finish_crashed, jobs.forget_intakes, jobs.reopen_due),
    loops=(jobs.intake_end,),
    readiness=(
        readiness.errors_arrive,
        readiness.errors_name_their_release,
        readiness.errors_are_of_few_kinds,
        readiness.issues_are_worked_on,
    ),
    settings=(ErrorsSettings,),
    tables=(ERROR_EVENTS,),
    tiles=pages.tiles,
    summary=pages.summary,
    menu=(pages.menu,),
    measures=(ERRORS,),
)
