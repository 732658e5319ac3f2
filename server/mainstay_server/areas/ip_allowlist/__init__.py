"""IP allowlist: only who comes from a listed address or network gets in."""

from mainstay_server.contracts.ip_allowlist import allowed_networks
from mainstay_server.kernel.area import Area

from . import api, pages, readiness, service

area = Area(
    name="ip_allowlist",
    title="IP allowlist",
    api=api.router,
    pages=pages.router,
    readiness=(readiness.the_allowlist_is_narrow,),
    answers=(allowed_networks.answered_by(service.allowed_networks),),
    panels=(pages.panel,),
    guard=(service.step,),
)
