"""What limits do at set times: say whom they hold back."""

from datetime import datetime, timedelta

from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.jobs import job

from .service import limited


@job(every=timedelta(minutes=1), in_transaction=False)
def tell_of_limited(*, now: datetime) -> int:
    """Say of every address that was refused often in the last ten minutes, at most once in ten.

    What passed is asked for before the transaction begins, so that writers wait for no query.
    """
    found = limited.notable(now=now)
    if not found:
        return 0
    with transaction() as session:
        return limited.tell_of(session, found, now=now)
