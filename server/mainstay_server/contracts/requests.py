"""What others may ask about the requests that an instance served."""

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
