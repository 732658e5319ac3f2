"""What synced folders do at set times: give back the room of what no snapshot has."""

from datetime import datetime, timedelta

from mainstay_server.kernel.jobs import job
from mainstay_server.kernel.settings import of

from .service.sweeping import sweep
from .settings import SyncSettings


@job(cron="20 4 * * *", task="cleanup", in_transaction=False, is_long=True)
def sweep_chunks(*, now: datetime) -> int:
    """Let go of chunks that no snapshot has, after the time of grace."""
    return sweep(before=now - timedelta(hours=of(SyncSettings).sync_grace_hours), now=now)
