"""The requests of an instance, over HTTP."""

from typing import Annotated

from fastapi import Query

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router, parse_hours
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role

from . import service
from .schemas import Metrics

router = Router()


@router.get(
    "/api/instances/{instance_id}/metrics",
    summary="Request metrics of an instance",
    operation_id="get_instance_metrics",
)
def get_metrics(
    instance: Annotated[InstanceRef, access.instance(Role.VIEWER)],
    hours: Annotated[int, Query(description="How far back.", examples=[24])] = 24,
    interval: Annotated[int, Query(description="Minutes per bucket.", examples=[60])] = 60,
) -> Metrics:
    """Answer the summary, the 20 busiest endpoints and a time series; rates are in percent."""
    return service.get_metrics(
        instance.id, hours=parse_hours(hours), interval_minutes=interval, now=utc_now()
    )
