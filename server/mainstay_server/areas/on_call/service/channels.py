"""The alert channels of an organization, as steps name them."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from mainstay_server.contracts.alerts import AlertChannelSeen, channels_of_organization


def channels_of(session: Session, organization_id: str) -> Sequence[AlertChannelSeen]:
    """Those that are on; none where nothing here has channels."""
    if not channels_of_organization.is_answered:
        return ()
    return channels_of_organization(session, organization_id)


def find_channel(
    session: Session, organization_id: str, channel_id: str
) -> AlertChannelSeen | None:
    """One of them, or None."""
    present = channels_of(session, organization_id)
    return next((one for one in present if one.id == channel_id), None)
