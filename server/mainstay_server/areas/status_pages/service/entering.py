"""Entering: who may see a private page, and what proves that somebody knew its password."""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.areas.status_pages.models import StatusPage, Visibility
from mainstay_server.areas.status_pages.schemas.facts import PageFacts
from mainstay_server.areas.status_pages.settings import StatusPageSettings
from mainstay_server.kernel.limits import Bucket, Rate, bucket_key, microseconds, take
from mainstay_server.kernel.networks import Networks, network_of
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.web.signing import sign, unsign
from mainstay_server.tenancy.callers import find_caller
from mainstay_server.tenancy.service.passwords import is_password

REMEMBERED_SECONDS = 30 * 86_400
HOUR, DAY = 3600, 86_400


def is_open_to(facts: PageFacts, *, address: str) -> bool:
    """Whether a page is public, or lets in whoever comes from an address."""
    if facts.access.visibility == Visibility.ALLOWLIST:
        return address in Networks(facts.access.networks)
    return facts.access.visibility == Visibility.PUBLIC


def is_member(
    session: Session, facts: PageFacts, *, authorization: str, cookie: str, now: datetime
) -> bool:
    """Whether somebody is signed in to the organization whose page it is."""
    caller = find_caller(session, authorization=authorization, cookie=cookie, now=now)
    return caller is not None and caller.organization_id == facts.access.organization_id


def cookie_name(facts: PageFacts) -> str:
    """What the cookie is called that remembers the password; one for each page."""
    return f"mainstay_status_{facts.id[-12:]}"


def cookie_for(facts: PageFacts) -> str:
    """What proves that the present password was known; another password ends it."""
    return sign(facts.access.stamp, purpose=_purpose(facts))


def has_entered(facts: PageFacts, cookie: str) -> bool:
    """Whether a cookie proves it."""
    if not cookie:
        return False
    stamp = unsign(cookie, purpose=_purpose(facts), max_age_seconds=REMEMBERED_SECONDS)
    return stamp == facts.access.stamp


def knows_password(page: StatusPage, password: str) -> bool:
    """Whether it is the page's password; a page without one takes as long to say no."""
    return is_password(page.password_hash, password)


def may_try(facts: PageFacts, *, address: str, now: datetime) -> bool:
    """Charge one try of a password to the address it comes from; False when it had too many."""
    quota = of(StatusPageSettings).status_passwords_per_hour
    return _charge("status-password", f"{facts.id}|{network_of(address)}", quota, HOUR, now=now)


def may_sign_up(*, address: str, now: datetime) -> bool:
    """Charge one sign-up to the address it comes from; False when it had too many."""
    quota = of(StatusPageSettings).status_sign_ups_per_hour
    return _charge("status-sign-up", network_of(address), quota, HOUR, now=now)


def may_be_mailed(mailbox_hash: str, *, now: datetime) -> bool:
    """Charge one mail to a mailbox, whatever pages it is about; False when it had too many."""
    quota = of(StatusPageSettings).status_mails_per_day
    return _charge("status-mail", mailbox_hash, quota, DAY, now=now)


def _charge(policy: str, whom: str, quota: int, seconds: int, *, now: datetime) -> bool:
    rate = Rate(quota, seconds, quota)
    bucket = Bucket(bucket_key(f"mainstay|{policy}", rate, whom), rate)
    return take((bucket,), now_us=microseconds(now)).admitted


def _purpose(facts: PageFacts) -> str:
    return f"status-page:{facts.id}"
