"""The ways in for alerts of apps, and of other systems as if to Alertmanager."""

from mainstay_server.areas.alerts.schemas import operations
from mainstay_server.kernel.area import PlainRoute

from . import alertmanager, app_alerts

doors = (app_alerts.door,)
plain_routes = tuple(
    PlainRoute(
        path=alertmanager.PREFIX,
        told_as=form,
        access="Whoever has a member's access token; an ingest key of the project may send alerts.",
        app=alertmanager.answer,
        operations=told,
    )
    for form, told in operations.FORMS.items()
)
