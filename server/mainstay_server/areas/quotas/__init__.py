"""Quotas: what a plan allows in a month, counted once, warned of once, refused in time."""

from mainstay_server.contracts.guard import record_use
from mainstay_server.contracts.quotas import quota_left, use_quota
from mainstay_server.kernel.area import Area

from . import api, jobs, pages, readiness
from .service import counting, guarding
from .service.measures import QUOTAS
from .settings import QuotaSettings

area = Area(
    name="quotas",
    title="Quotas",
    api=api.router,
    pages=pages.router,
    jobs=(jobs.forget_counted_reports,),
    readiness=(readiness.enough_is_left,),
    settings=(QuotaSettings,),
    answers=(
        record_use.answered_by(counting.record_use),
        quota_left.answered_by(counting.quota_left),
        use_quota.answered_by(counting.use_quota),
    ),
    panels=(pages.panel,),
    menu=(pages.menu,),
    measures=(QUOTAS,),
    guard=(guarding.step,),
)
