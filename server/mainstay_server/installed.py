"""The one list of areas: adding an area is adding its line here."""

from mainstay_server.areas import alerts, errors, health_checks, requests, scorecard
from mainstay_server.kernel.area import Area

AREAS: tuple[Area, ...] = (
    alerts.area,
    errors.area,
    health_checks.area,
    requests.area,
    scorecard.area,
)
