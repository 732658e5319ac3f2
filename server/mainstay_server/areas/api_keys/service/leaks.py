"""Keys that somebody found in public: revoked at once, since whoever found one could use it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.api_keys.models import ApiKey
from mainstay_server.contracts.api_keys import ApiKeyLeaked
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.guard import touch_policies
from mainstay_server.tenancy.subjects import find_instance

from .fields import one_line
from .keys import facts
from .minting import fingerprint_of, is_well_formed

LONGEST_URL = 400
LONGEST_SOURCE = 100


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One text that somebody found, and where, in the finder's words."""

    token: str
    url: str = ""
    source: str = ""


def fingerprints_of(findings: Sequence[Finding]) -> dict[str, Finding]:
    """The findings that can be keys at all, by fingerprint; no words and no mistyped keys."""
    return {
        fingerprint_of(finding.token): finding
        for finding in findings
        if is_well_formed(finding.token)
    }


def find_known(session: Session, fingerprints: Sequence[str]) -> dict[str, bool]:
    """Which of them are keys of ours, and whether each could still open something."""
    rows = session.execute(
        sa.select(ApiKey.fingerprint, ApiKey.revoked_at).where(ApiKey.fingerprint.in_(fingerprints))
    )
    return {fingerprint: revoked_at is None for fingerprint, revoked_at in rows}


def revoke_leaked(session: Session, found: Mapping[str, Finding], *, now: datetime) -> int:
    """Revoke keys by their fingerprints, and say of each where it was found, once.

    Returns how many were revoked; those that were revoked before are not among them.
    """
    leaked = session.scalars(
        sa.select(ApiKey)
        .where(ApiKey.fingerprint.in_(found), ApiKey.revoked_at.is_(None))
        .order_by(ApiKey.id)
        .with_for_update()
    ).all()
    for key in leaked:
        finding = found[key.fingerprint]
        url, source = _told(finding.url, LONGEST_URL), _told(finding.source, LONGEST_SOURCE)
        key.revoked_at = key.leaked_at = now
        key.leaked_where = f"{url} ({source})" if url and source else url or source
        instance = find_instance(session, key.instance_id)
        if instance is not None:
            ended = changes_between({}, {"revoked_at": now})
            said = ApiKeyLeaked(**facts(instance, key), url=url, source=source, changes=ended)
            say(session, said, now=now)
    session.flush()
    touch_policies(session, [key.instance_id for key in leaked])
    return len(leaked)


def _told(text: str, longest: int) -> str:
    return one_line(text)[:longest]
