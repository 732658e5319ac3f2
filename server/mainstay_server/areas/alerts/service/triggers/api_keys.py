"""What API keys say, as alerts: one that leaked, and those that are due for a successor."""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import AlertType
from mainstay_server.areas.alerts.service.firing import Firing, fire
from mainstay_server.contracts.api_keys import (
    ApiKeyDue,
    ApiKeyEvent,
    ApiKeyExpiring,
    ApiKeyLeaked,
    ApiKeyNeedsRotation,
)
from mainstay_server.tenancy.subjects import find_instance

ALL_ARE_LISTED = "The page of the API keys lists all that are due."


def record_leak(session: Session, event: ApiKeyLeaked, *, now: datetime) -> None:
    """A key was found in public and revoked: one alert each, until somebody says it is over."""
    whose = f" of {event.owner}" if event.owner else ""
    where = f" at {event.url}" if event.url else ""
    _fire(
        session,
        event,
        AlertType.API_KEY_LEAKED,
        "an API key was found in public",
        f"{event.name}{whose} ({event.hint}) was found{where} and revoked at once."
        " Look at what it was used for, and give its user a new one.",
        about=event.api_key_id,
        now=now,
    )


def record_old_key(session: Session, event: ApiKeyNeedsRotation, *, now: datetime) -> None:
    """A key is older than it should become: one alert stands for all of its instance."""
    _fire(
        session,
        event,
        AlertType.API_KEY_ROTATION,
        "API keys are due for rotation",
        f"{event.name} ({event.hint}) is older than {event.after_days} days. {ALL_ARE_LISTED}",
        now=now,
    )


def record_expiring_key(session: Session, event: ApiKeyExpiring, *, now: datetime) -> None:
    """A key soon ends without a successor: one alert stands for all of its instance."""
    _fire(
        session,
        event,
        AlertType.API_KEY_ROTATION,
        "API keys end within a week",
        f"{event.name} ({event.hint}) ends at {event.ends_at:%Y-%m-%d %H:%M} UTC and has no"
        f" successor. {ALL_ARE_LISTED}",
        about="expiring",
        now=now,
    )


def _fire(  # noqa: PLR0913 - one alert, all that it says
    session: Session,
    event: ApiKeyEvent | ApiKeyDue,
    kind: AlertType,
    title: str,
    message: str,
    *,
    about: str = "",
    now: datetime,
) -> None:
    instance = find_instance(session, event.instance_id)
    if instance is None:
        return
    place = f"{instance.project_slug} {instance.environment}"
    firing = Firing(type=kind, about=about, title=f"{place}: {title}", message=message)
    fire(session, instance, firing, now=now)
