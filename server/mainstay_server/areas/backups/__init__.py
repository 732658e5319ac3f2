"""Backups: dumps that are restored and compared before anybody relies on them."""

from mainstay_server.contracts.backups import has_backup_trouble
from mainstay_server.kernel.area import Area

from . import api, jobs, pages, reactions, readiness
from .service import troubles
from .service.measures import BACKUPS
from .settings import BackupSettings

area = Area(
    name="backups",
    title="Backups",
    api=api.router,
    pages=pages.router,
    jobs=(
        jobs.queue_due_backups,
        jobs.end_broken_runs,
        jobs.sweep_unfinished,
        jobs.tell_late_backups,
        jobs.check_copies,
        jobs.remove_old_backups,
        jobs.forget_old_runs,
        jobs.plan_weekly_drills,
    ),
    loops=(jobs.work, jobs.prove),
    reactions=(reactions.tell_somebody_outside, reactions.try_what_was_stored),
    readiness=(
        readiness.data_is_backed_up,
        readiness.backups_are_fresh,
        readiness.backups_restore,
        readiness.copies_lie_elsewhere,
    ),
    answers=(has_backup_trouble.answered_by(troubles.has_trouble),),
    settings=(BackupSettings,),
    panels=(pages.panel,),
    tiles=pages.tiles,
    menu=(pages.menu,),
    measures=(BACKUPS,),
)
