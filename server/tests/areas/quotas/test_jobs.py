from datetime import UTC, datetime, timedelta

from mainstay_server.areas.quotas import jobs
from mainstay_server.areas.quotas.service import counting
from mainstay_server.contracts.guard import Use
from sqlalchemy.orm import Session
from tests.world import a_project

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_reports_of_the_last_week_stay_counted(session: Session) -> None:
    instance = a_project(session, now=NOON)

    def send() -> bool:
        uses = [Use(subject="organization", meter="calls", amount=1)]
        return counting.record_use(
            session, instance=instance, batch_id="batch-1", uses=uses, now=NOON
        )

    send()
    assert jobs.forget_counted_reports.function(session, now=NOON + timedelta(days=6)) == 0
    assert not send()
    assert jobs.forget_counted_reports.function(session, now=NOON + timedelta(days=8)) == 1
