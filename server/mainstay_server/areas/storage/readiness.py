"""What going live asks about storage: do its stores answer, and is there room."""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.kernel.readiness import (
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Weight,
    readiness_check,
)
from mainstay_server.kernel.subjects import InstanceRef

from .service import buckets, statistics

NEARLY = 90
MOST_NAMED = 5


@readiness_check(
    "storage.works", "Does its file storage work, with room left?", weight=Weight.SHOULD
)
def storage_works(session: Session, instance: InstanceRef, now: datetime) -> Outcome:
    """Passes when every bucket's store answered its last listing, and none is nearly full."""
    found = buckets.buckets_of(session, instance.id)
    if not found:
        return NotApplicable(reason="It keeps no files here.")
    for bucket in found:
        if bucket.problem:
            return Finding(
                problem=f"The bucket {bucket.name}: {bucket.problem}",
                fix="Mend its credentials or limits.",
                fix_url=instance.page("storage"),
            )
        percent = statistics.total_of(session, bucket).percent
        if percent is not None and percent >= NEARLY:
            return Finding(
                problem=f"The bucket {bucket.name} is {percent:.0f} % full.",
                fix="Delete files, or raise its quota.",
                fix_url=instance.page("storage"),
            )
    names = ", ".join(bucket.name for bucket in found[:MOST_NAMED])
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return Passed(evidence=f"Its buckets answer and have room: {names}{more}.")
