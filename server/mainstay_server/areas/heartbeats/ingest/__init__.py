"""The ways in for reports: pings, push addresses, check-ins of Sentry's SDKs, and mail."""

from mainstay_server.areas.heartbeats.schemas import operations
from mainstay_server.kernel.area import PlainRoute

from . import checkins, mails, pings, pushes

BY_ADDRESS = (
    "Whoever knows the address of a heartbeat, or a ping key and its name; it only reports."
)

plain_routes = (
    *(
        PlainRoute(
            path=pings.PREFIX,
            told_as=form,
            access=BY_ADDRESS,
            app=pings.take_ping,
            operations=told,
        )
        for form, told in operations.FORMS.items()
    ),
    PlainRoute(
        path=pushes.KUMA,
        told_as="/api/push/{token}",
        access=BY_ADDRESS,
        app=pushes.take_kuma,
        operations={"get": operations.KUMA},
    ),
    PlainRoute(
        path=pushes.GATUS,
        told_as="/api/v1/endpoints/{slug}/external",
        access="Whoever has a ping key of the project, sent as a bearer token; it only reports.",
        app=pushes.take_gatus,
        operations={"post": operations.GATUS},
    ),
)
envelope_items = checkins.envelope_items
doors = checkins.doors
loops = (mails.mails,)
