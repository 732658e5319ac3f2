"""Requests: what an app served, how fast, and how often it failed."""

from mainstay_server.contracts.requests import (
    count_bad_requests,
    count_requests,
    slowest_endpoints,
)
from mainstay_server.kernel.area import Area

from . import api, ingest, jobs, pages, readiness, service
from .columns import REQUEST_LOSSES, REQUEST_METRICS

area = Area(
    name="requests",
    title="Requests",
    api=api.router,
    doors=(ingest.door,),
    jobs=(jobs.sum_up_requests,),
    readiness=(
        readiness.requests_are_measured,
        readiness.requests_are_answered,
        readiness.requests_are_fast,
        readiness.requests_arrive,
    ),
    tables=(REQUEST_METRICS, REQUEST_LOSSES),
    answers=(
        count_requests.answered_by(service.count_requests),
        count_bad_requests.answered_by(service.count_bad_requests),
        slowest_endpoints.answered_by(service.slowest_endpoints),
    ),
    panels=(pages.panel,),
    tiles=pages.tiles,
    summary=pages.summary,
    measures=(service.REQUESTS,),
)
