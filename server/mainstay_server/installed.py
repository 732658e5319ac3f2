"""The one list of areas: adding an area is adding its line here."""

from mainstay_server.areas import requests, scorecard
from mainstay_server.kernel.area import Area

AREAS: tuple[Area, ...] = (
    requests.area,
    scorecard.area,
)
