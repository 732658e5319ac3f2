"""What others may ask about the requests that an instance served."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mainstay_server.kernel.ports import port


@dataclass(frozen=True, kw_only=True)
class RequestCount:
    """Requests of one instance in a span of time; an error is an answer of 500 or more."""

    total: int
    errors: int


@port
def count_requests(*, since: datetime, until: datetime) -> dict[str, RequestCount]:
    """The requests of every instance that served any between two instants, by instance id."""
    raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class RequestSlice:
    """The requests of one step of time: all of them, and those that were bad."""

    begins_at: datetime
    total: int
    bad: int


@port
def count_bad_requests(
    instance_id: str,
    *,
    since: datetime,
    until: datetime,
    step_seconds: int,
    route: str = "",
    slower_than_ms: float | None = None,
) -> Sequence[RequestSlice]:
    """An instance's requests from `since` to before `until`, by steps since the epoch.

    Steps without a request are absent. Bad is an answer of 500 or more; with `slower_than_ms`, an
    answer that took longer, whatever it was. `route` is a path as it was measured, "" for all. The
    step is a number of whole minutes.
    """
    raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class EndpointFigures:
    """One endpoint of an instance over a span of time; `p95_ms` is its 95th percentile."""

    instance_id: str
    path: str
    requests: int
    p95_ms: float


@port
def slowest_endpoints(
    instance_ids: Sequence[str], *, since: datetime, until: datetime, limit: int
) -> Sequence[EndpointFigures]:
    """The slowest endpoints of some instances by their 95th percentile, the slowest first.

    Of each instance only its 50 busiest endpoints with at least 10 requests are looked at: one slow
    request says little.
    """
    raise NotImplementedError
