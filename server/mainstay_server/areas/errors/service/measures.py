"""Error events as a number that rules compare."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.areas.errors.columns import ERROR_EVENTS
from mainstay_server.kernel import columns
from mainstay_server.kernel.measures import Measure, MeasureFamily, Past, PastQuestion, Reading
from mainstay_server.tenancy.subjects import find_instance

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
    return [_reading(row["instance_id"], row["events"], until - since) for row in rows]


def replay(session: Session, asked: PastQuestion) -> Past:
    """Error events of an instance by the hour, as they were at each minute of a span."""
    instance = find_instance(session, asked.instance_id)
    found = columns.slide(
        ERROR_EVENTS,
        {},
        # Events lie by project on the disk, so that it is named too.
        "project_id = {project_id:String} AND instance_id = {instance_id:String}",
        asked.windows,
        part="''",
        project_id="" if instance is None else instance.project_id,
        instance_id=asked.instance_id,
    )
    return Past(
        since=found.since,
        has_more_parts=False,
        at=lambda moment: [
            _reading(asked.instance_id, row["total"], asked.windows.width)
            for row in found.rows.get(moment, ())
        ],
    )


def _reading(instance_id: str, events: int, window: timedelta) -> Reading:
    hours = window.total_seconds() / HOUR_SECONDS
    return Reading(instance_id=instance_id, values={PER_HOUR: events / hours}, count=events)


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
    replay=replay,
    counts="error events",
)
