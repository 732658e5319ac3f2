"""Errors: what Sentry's SDKs send, grouped into issues that people work on."""

from mainstay_server.kernel.area import Area

from . import ingest, jobs
from .columns import ERROR_EVENTS
from .settings import ErrorsSettings

area = Area(
    name="errors",
    title="Errors",
    doors=ingest.doors,
    jobs=(jobs.finish_crashed, jobs.forget_intakes),
    settings=(ErrorsSettings,),
    tables=(ERROR_EVENTS,),
)
