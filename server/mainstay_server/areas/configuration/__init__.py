"""Configuration: a project as a document that is kept beside the code, planned and applied."""

from mainstay_server.kernel.area import Area

from . import api, configured, pages

area = Area(
    name="configuration",
    title="Configuration",
    api=api.router,
    pages=pages.router,
    configured=(configured.INSTANCES,),
    menu=(pages.menu,),
)
