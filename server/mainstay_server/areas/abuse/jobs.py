"""What abuse does at set times: look at the last minutes, and forget old bans."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mainstay_server.contracts.guard import conduct_of_addresses, keys_on_the_move
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.jobs import job

from .service import bans, watching

KEPT = timedelta(days=90)
FEWEST_NETWORKS = 2
# Few, so that writers get their turn while many addresses misbehave at once.
AT_ONCE = 20


@job(every=timedelta(seconds=20), in_transaction=False)
def look_for_abuse(*, now: datetime) -> None:
    """Judge what addresses and keys did within the last ten minutes.

    The column store is asked before the transaction begins, so that writers wait for no query. Run
    twice it finds who is banned already and does nothing again.
    """
    with reading() as session:
        fewest = watching.fewest_of_all(session)
    since = now - watching.WINDOW
    conducts = conduct_of_addresses(since=since, until=now, at_least=fewest)
    moving = keys_on_the_move(since=since, until=now, at_least=FEWEST_NETWORKS)
    if not conducts and not moving:
        return
    for begin in range(0, max(len(conducts), len(moving)), AT_ONCE):
        with transaction() as session:
            watching.judge_addresses(session, conducts[begin : begin + AT_ONCE], now=now)
            watching.judge_keys(session, moving[begin : begin + AT_ONCE], now=now)


@job(cron="35 3 * * *", task="cleanup")
def forget_old_bans(session: Session, *, now: datetime) -> int:
    """Delete bans that were over ninety days ago."""
    return bans.forget_old(session, before=now - KEPT)
