"""What requests do by the clock: sum up the hours that are over."""

from datetime import datetime, timedelta

from mainstay_server.kernel import columns
from mainstay_server.kernel.jobs import job

from .columns import REQUEST_METRICS

# SDKs report about once a second. Whoever is later is counted all the same, and summed up again.
LATE = timedelta(minutes=2)


@job(every=timedelta(minutes=10), in_transaction=False, at_start=True)
def sum_up_requests(*, now: datetime) -> None:
    """Sum up the endpoints of hours that are over, so that pages over weeks need not read them."""
    columns.sum_up(REQUEST_METRICS, until=now - LATE)
