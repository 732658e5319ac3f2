"""The ways in of the guard that are asked very often, each with its words in OpenAPI."""

from mainstay_server.kernel.area import PlainRoute

from . import doors, operations

BY_GUARD_KEY = "Whoever holds one of the project's guard keys."

plain_routes = (
    PlainRoute(
        path="/api/guard/check",
        access="Anyone: the answer says only whether the key that was sent may pass.",
        app=doors.check,
        operations={"get": operations.CHECK, "post": operations.CHECK_BY_POST},
    ),
    PlainRoute(
        path="/api/guard/keys/verify",
        access=BY_GUARD_KEY,
        app=doors.verify,
        operations={"post": operations.VERIFY},
    ),
    PlainRoute(
        path="/api/guard/policy",
        access=BY_GUARD_KEY,
        app=doors.give_policy,
        operations={"get": operations.POLICY},
    ),
    PlainRoute(
        path="/api/guard/report",
        access=BY_GUARD_KEY,
        app=doors.report,
        operations={"post": operations.REPORT},
    ),
)
