"""Where whoever reads what a step told takes alerts in hand: each by itself, or all of them."""

from dataclasses import replace

from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import AlertNotification
from mainstay_server.areas.alerts.schemas import Notice
from mainstay_server.areas.alerts.service.digests import MOST_LINES
from mainstay_server.contracts.on_call import acknowledge_all_link, acknowledge_link


def with_links(session: Session, told: AlertNotification, notice: Notice) -> Notice:
    """What a step says, with where its reader takes each alert in hand, and all; or as it was."""
    if not told.by_step or not acknowledge_link.is_answered:
        return notice

    def link(alert_id: str) -> str:
        return acknowledge_link(session, alert_id, told.channel_id, at=told.created_at)

    if not notice.gathered:
        return replace(notice, acknowledge_url=link(notice.alert_id))
    of_all = ""
    if acknowledge_all_link.is_answered:
        of_all = acknowledge_all_link(session, told.id, told.channel_id, at=told.created_at)
    shown, more = notice.gathered[:MOST_LINES], notice.gathered[MOST_LINES:]
    linked = (replace(one, acknowledge_url=link(one.alert_id)) for one in shown)
    return replace(notice, acknowledge_url=of_all, gathered=(*linked, *more))
