"""The audit log: who administered what, from where, how it was before; and proof of all that."""

from mainstay_server.kernel.area import Area

from . import api, jobs, pages, reactions, readiness
from .settings import AuditSettings

area = Area(
    name="audit",
    title="Audit log",
    api=api.router,
    pages=pages.router,
    jobs=(jobs.sign_checkpoints, jobs.verify_logs, jobs.remove_old_rows),
    reactions=(
        reactions.keep_rows,
        reactions.store_checkpoint,
        reactions.write_checkpoint,
        reactions.post_checkpoint,
    ),
    readiness=(readiness.log_verifies, readiness.checkpoints_leave),
    settings=(AuditSettings,),
    panels=(pages.panel,),
    menu=(pages.menu,),
    organization_menu=(pages.organization_entry,),
)
