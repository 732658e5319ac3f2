"""What happens to keys at set times: last uses are noted, people reminded, dead keys forgotten."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.jobs import job
from mainstay_server.kernel.settings import of

from .service import ageing, usage
from .settings import ApiKeyAreaSettings


@job(every=timedelta(minutes=1), in_transaction=False)
def note_last_uses(*, now: datetime) -> int:
    """Note when each key was used last, from what passed the guard: no request ever writes it.

    The column store is asked before the transaction begins, so that writers wait for no query.
    """
    with reading() as session:
        since = usage.where_to_look_from(session, now=now)
    uses = usage.find_last_uses(since)
    if uses:
        with transaction() as session:
            usage.note_last_uses(session, uses, now=now)
    return len(uses)


@job(every=timedelta(hours=1))
def remind(session: Session, *, now: datetime) -> int:
    """Say once of each key that it is due for a successor, or about to end without one."""
    return ageing.remind_of_rotation(session, now=now) + ageing.remind_of_end(session, now=now)


@job(cron="25 3 * * *", task="cleanup")
def forget_dead_keys(session: Session, *, now: datetime) -> int:
    """Forget keys that opened nothing for a long time."""
    keep = timedelta(days=of(ApiKeyAreaSettings).api_keys_keep_days)
    return ageing.forget_dead(session, before=now - keep)
