"""Who is asking and about what; below every area and blind to all of them."""

from mainstay_server.kernel.area import Area

from . import api, pages
from .seen import last_uses
from .service.setup import prepare_first_start

__all__ = ["prepare_first_start", "tenancy_area"]

tenancy_area = Area(
    name="tenancy",
    title="People and projects",
    api=api.router,
    pages=pages.router,
    loops=(last_uses,),
)
