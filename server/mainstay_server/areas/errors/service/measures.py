"""Error events as a number that rules compare."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.kernel import columns
from mainstay_server.kernel.measures import Measure, MeasureFamily, Reading

HOUR_SECONDS = 3600
PER_HOUR = "errors.per_hour"


def read(session: Session, *, since: datetime, until: datetime, by_part: bool) -> Sequence[Reading]:
    """Error events of every instance, by the hour."""
    _ = session, by_part  # an instance is one whole here
    rows = columns.query(
        "SELECT instance_id, count() AS events FROM error_events"
        " WHERE received_at >= {since:DateTime64(3, 'UTC')}"
        " AND received_at < {until:DateTime64(3, 'UTC')} GROUP BY instance_id",
        since=since,
        until=until,
    )
    hours = (until - since).total_seconds() / HOUR_SECONDS
    return [
        Reading(
            instance_id=row["instance_id"],
            values={PER_HOUR: row["events"] / hours},
            count=row["events"],
        )
        for row in rows
    ]


ERRORS = MeasureFamily(
    measures=(
        Measure(
            name=PER_HOUR,
            title="Error events",
            unit="per hour",
            description="How many error events arrived in the window, reckoned by the hour.",
        ),
    ),
    read=read,
    counts="error events",
)
