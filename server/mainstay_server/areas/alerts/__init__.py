"""Alerts: tell people when something breaks, once, and tell them when it is over."""

from mainstay_server.kernel.area import Area

from . import reactions
from .settings import AlertSettings, SmtpSettings

area = Area(
    name="alerts",
    title="Alerts",
    reactions=(
        reactions.open_down,
        reactions.open_degraded,
        reactions.resolve_health,
        reactions.open_new_issue,
        reactions.open_regressed_issue,
        reactions.tell_of_opening,
        reactions.tell_of_end,
        reactions.send_notification,
    ),
    settings=(AlertSettings, SmtpSettings),
)
