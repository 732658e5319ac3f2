"""The one list of areas: adding an area is adding its line here."""

from mainstay_server.kernel.area import Area

AREAS: tuple[Area, ...] = ()
