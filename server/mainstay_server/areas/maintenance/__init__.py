"""Maintenance: windows in which alerts are held back and time does not count, said beforehand."""

from mainstay_server.contracts.maintenance import list_windows, windows_over
from mainstay_server.kernel.area import Area

from . import api, configured, jobs, pages
from .service import windows

area = Area(
    name="maintenance",
    title="Maintenance",
    api=api.router,
    pages=pages.router,
    jobs=(jobs.tell_windows,),
    answers=(
        windows_over.answered_by(windows.windows_over),
        list_windows.answered_by(windows.list_windows),
    ),
    menu=(pages.menu,),
    configured=(configured.MAINTENANCE,),
)
