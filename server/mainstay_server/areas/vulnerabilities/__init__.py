"""Vulnerabilities: what scanners find in CI becomes findings that are followed until mended."""

from mainstay_server.kernel.area import Area

from . import api, jobs, pages, readiness
from .settings import VulnerabilitySettingsOfServer

area = Area(
    name="vulnerabilities",
    title="Vulnerabilities",
    api=api.router,
    pages=pages.router,
    jobs=(jobs.end_acceptances, jobs.forget_old_findings),
    readiness=(readiness.scans_arrive, readiness.no_old_criticals),
    settings=(VulnerabilitySettingsOfServer,),
    panels=(pages.panel,),
    menu=(pages.menu,),
)
