"""Bans and how abuse is looked for, over HTTP."""

from datetime import datetime
from typing import Annotated

from sqlalchemy.orm import Session

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router
from mainstay_server.kernel.web.pagination import Cursor, Limit
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role

from .models import AbuseSettings, Ban
from .schemas import (
    AbuseSettingsAnswer,
    AbuseSettingsBody,
    BanAnswer,
    BanBody,
    Bans,
    RuleAnswer,
    is_active,
)
from .service import bans, watching
from .service.rules import ABOUT, DEFAULTS

router = Router()

Viewed = Annotated[InstanceRef, access.instance(Role.VIEWER)]
Administered = Annotated[InstanceRef, access.instance(Role.ADMIN)]


@router.get("/api/instances/{instance_id}/bans", summary="List bans", operation_id="list_bans")
def list_bans(
    session: Session, instance: Viewed, limit: Limit = DEFAULT_PER_PAGE, cursor: Cursor = ""
) -> Bans:
    """Who is or was kept out and why, the newest first; simulated ones too."""
    page = bans.list_bans(session, instance.id, limit=limit, cursor=cursor)
    now = utc_now()
    return Bans(bans=[_ban(ban, now) for ban in page.items], next_cursor=page.next_cursor)


@router.post(
    "/api/instances/{instance_id}/bans",
    summary="Ban an address or network",
    operation_id="create_ban",
    status_code=201,
)
def create_ban(session: Session, instance: Administered, body: BanBody) -> BanAnswer:
    """Keep somebody out for a while; guards follow within a second."""
    now = utc_now()
    ban = bans.ban_by_hand(
        session, instance, body.network, minutes=body.minutes, reason=body.reason, now=now
    )
    return _ban(ban, now)


@router.post(
    "/api/instances/{instance_id}/bans/{ban_id}/lift",
    summary="Lift a ban",
    operation_id="lift_ban",
)
def lift_ban(session: Session, instance: Administered, ban_id: str) -> BanAnswer:
    """End a ban before its time."""
    now = utc_now()
    return _ban(bans.lift(session, instance, ban_id, now=now), now)


@router.get(
    "/api/instances/{instance_id}/abuse/settings",
    summary="How abuse is looked for",
    operation_id="get_abuse_settings",
)
def get_settings(session: Session, instance: Viewed) -> AbuseSettingsAnswer:
    """The mode, and each rule with its threshold within ten minutes."""
    return _settings(watching.find_settings(session, instance.id))


@router.patch(
    "/api/instances/{instance_id}/abuse/settings",
    summary="Change how abuse is looked for",
    operation_id="change_abuse_settings",
)
def change_settings(
    session: Session, instance: Administered, body: AbuseSettingsBody
) -> AbuseSettingsAnswer:
    """Change the mode or thresholds; what is left out stays, 0 switches a rule off."""
    row = watching.change_settings(
        session, instance, mode=body.mode, thresholds=body.thresholds, now=utc_now()
    )
    return _settings(row)


def _ban(ban: Ban, now: datetime) -> BanAnswer:
    active = is_active(simulated=ban.simulated, lifted_at=ban.lifted_at, until=ban.until, now=now)
    return BanAnswer(
        id=ban.id,
        network=ban.network,
        rule=ban.rule,
        reason=ban.reason,
        simulated=ban.simulated,
        active=active,
        level=ban.level,
        starts_at=ban.starts_at,
        until=ban.until,
        lifted_at=ban.lifted_at,
        lifted_because=ban.lifted_because,
    )


def _settings(row: AbuseSettings) -> AbuseSettingsAnswer:
    return AbuseSettingsAnswer(
        mode=row.mode,
        window_minutes=int(watching.WINDOW.total_seconds() // 60),
        rules=[
            RuleAnswer(
                rule=name,
                about=about,
                threshold=row.thresholds.get(name, DEFAULTS[name]),
                default=DEFAULTS[name],
            )
            for name, about in ABOUT.items()
        ],
    )
