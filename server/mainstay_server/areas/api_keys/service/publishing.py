"""What the guard's policy tells of keys: all that decides, and nothing that opens anything."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.api_keys.models import ApiKey
from mainstay_server.areas.api_keys.settings import ApiKeyAreaSettings
from mainstay_server.kernel.clock import rfc3339
from mainstay_server.kernel.guard.steps import Section
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.subjects import InstanceRef

from .asking import find_settings
from .minting import told_pepper
from .rotating import MOST_WITH_GRACE

# So long a key that has ended is still told "expired" and not "unknown".
EXPIRED_TOLD_FOR = timedelta(days=30)


def publish_section(session: Session, instance: InstanceRef, now: datetime) -> Section:
    """The section `keys` of an instance's policy, with every key that opens something.

    It is there even when there are no keys: whoever asks for a key then refuses everybody.
    """
    asked = find_settings(session, instance.id)
    most = MOST_WITH_GRACE * of(ApiKeyAreaSettings).api_keys_most_per_instance
    rows = session.execute(
        sa.select(
            ApiKey.id,
            ApiKey.digest,
            ApiKey.scopes,
            ApiKey.ends_at,
            ApiKey.networks,
            ApiKey.owner,
            ApiKey.plan,
            ApiKey.limits,
        )
        .where(
            ApiKey.instance_id == instance.id,
            ApiKey.revoked_at.is_(None),
            ApiKey.enabled.is_(True),
            sa.or_(ApiKey.ends_at.is_(None), ApiKey.ends_at > now - EXPIRED_TOLD_FOR),
        )
        .order_by(ApiKey.ends_at.desc().nulls_first(), ApiKey.id)
        .limit(most)
    )
    return {
        "pepper": told_pepper(instance.project_id),
        "required": asked.required,
        "public": asked.public,
        "scopes": asked.scopes,
        "keys": [
            {
                "id": key_id,
                "digest": digest,
                "scopes": scopes,
                "expiresAt": None if ends_at is None else rfc3339(ends_at),
                "networks": networks,
                "owner": owner,
                "plan": plan,
                "limits": limits,
            }
            for key_id, digest, scopes, ends_at, networks, owner, plan, limits in rows
        ],
    }
