"""The ways in for reports: pings, push addresses, check-ins of Sentry's SDKs, and mail."""

from mainstay_server.areas.heartbeats.schemas import operations
from mainstay_server.kernel.area import PlainRoute

from . import pings

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
)
