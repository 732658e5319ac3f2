"""Notifications as the API gives them, and dead letters that are to be sent again."""

from pydantic import Field

from mainstay_server.areas.alerts.models import Change, NotificationState
from mainstay_server.kernel.web import Answer, Body
from mainstay_server.kernel.web.bodies import Instant


class NotificationAnswer(Answer):
    """One telling: which change of which alert, through which channel, and how that went.

    `standsInFor` is the notification that another channel could not deliver, `slotAt` when the turn
    of this one is, where a channel has a limit.
    """

    id: str
    alert_id: str | None
    channel_id: str
    change: Change
    state: NotificationState
    attempts: int
    title: str
    target: str
    created_at: Instant
    finished_at: Instant | None = None
    last_error: str | None = None
    stands_in_for: str | None = None
    slot_at: Instant | None = None


class NotificationList(Answer):
    """Notifications, newest first."""

    notifications: list[NotificationAnswer]
    next_cursor: str | None = None


class ResentAnswer(Answer):
    """How many dead letters have their tries back, and how many are left for another call."""

    resent: int
    left: int


class ResendAll(Body):
    """Which dead letters to send again: all of the project's, or those of one channel."""

    channel_id: str = Field("", max_length=36, description="Default: of every channel.")
