"""Results: what pipelines upload of tests, runs and analyses, kept as a history and compared."""

from mainstay_server.kernel.area import Area

from . import api, jobs, pages
from .settings import ResultSettings

area = Area(
    name="results",
    title="Results",
    api=api.router,
    pages=pages.router,
    jobs=(jobs.forget_old_results,),
    settings=(ResultSettings,),
    menu=(pages.menu,),
)
