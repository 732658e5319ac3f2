"""Backups: dumps that are restored and compared before anybody relies on them."""

from mainstay_server.kernel.area import Area

from . import api, jobs, pages
from .settings import BackupSettings

area = Area(
    name="backups",
    title="Backups",
    api=api.router,
    pages=pages.router,
    jobs=(
        jobs.queue_due_backups,
        jobs.mend_broken_runs,
        jobs.tell_late_backups,
        jobs.check_copies,
        jobs.remove_old_backups,
        jobs.forget_old_runs,
    ),
    loops=(jobs.work,),
    settings=(BackupSettings,),
    panels=(pages.panel,),
    tiles=pages.tiles,
    menu=(pages.menu,),
)
