"""What results do at set times: forget what is old."""

from datetime import datetime, timedelta

from mainstay_server.kernel.jobs import job
from mainstay_server.kernel.settings import of

from .service.forgetting import forget_old
from .settings import ResultSettings

GRACE = timedelta(hours=1)


@job(cron="35 4 * * *", task="cleanup", in_transaction=False, is_long=True)
def forget_old_results(*, now: datetime) -> int:
    """Forget results that are older than they are kept, and files that no row names."""
    kept = timedelta(days=of(ResultSettings).results_keep_days)
    return forget_old(received_before=now - kept, made_before=now - GRACE)
