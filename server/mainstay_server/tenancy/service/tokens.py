"""Access tokens: made, shown once, listed by their hint, revoked."""

import secrets
import string
import zlib
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.contracts.tenancy import AccessTokenCreated, AccessTokenRevoked
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, Page, decode_cursor, page_of
from mainstay_server.kernel.problems import Forbidden, NotFound
from mainstay_server.tenancy.callers import Caller, hash_token
from mainstay_server.tenancy.models import AccessToken
from mainstay_server.tenancy.scopes import Scope, covers

from .fields import clean_name, invalid

PREFIX = "mst_"
RANDOM_CHARACTERS = 40
CHECKSUM_CHARACTERS = 6
BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
HINT_CHARACTERS = 8
FACTS = ("name", "scopes", "expires_at", "person_id")


def new_token() -> str:
    """A token that secret scanners recognise: prefix, 40 random base62 digits, CRC32 of those.

    The same shape as GitHub's, so that a leaked one is told from a random word without asking us.
    """
    random = "".join(secrets.choice(BASE62) for _ in range(RANDOM_CHARACTERS))
    return PREFIX + random + checksum(random)


def checksum(random: str) -> str:
    """The CRC32 of a token's random part as six base62 digits."""
    number, digits = zlib.crc32(random.encode()), ""
    for _ in range(CHECKSUM_CHARACTERS):
        number, digit = divmod(number, len(BASE62))
        digits = BASE62[digit] + digits
    return digits


def create_token(
    session: Session,
    caller: Caller,
    *,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime | None,
    now: datetime,
) -> tuple[AccessToken, str]:
    """Make a token of the caller's, within their role.

    One that a token makes stays within the scopes and the lifetime of that token: whoever finds one
    of an hour must not be able to stay.

    Returns the row and the token itself, which is kept nowhere.

    Raises:
        Invalid: an unknown or missing scope, or an end in the past.
        Forbidden: a token may not make one that can do more, or for longer.
    """
    wanted = _clean_scopes(scopes)
    if caller.token_id and not all(covers(list(caller.scopes), scope) for scope in wanted):
        raise Forbidden("A token cannot make one that may do more; sign in to make it.")
    if expires_at is not None and expires_at <= now:
        raise invalid("expiresAt", "is in the past; choose a later time or leave it out")
    if caller.token_id:
        _refuse_longer(session.get_one(AccessToken, caller.token_id).expires_at, expires_at)
    token = new_token()
    made = keep_token(
        session,
        token,
        organization_id=caller.organization_id,
        person_id=caller.person_id,
        name=clean_name(name),
        scopes=wanted,
        expires_at=expires_at,
        now=now,
    )
    return made, token


def keep_token(  # noqa: PLR0913 - the columns of one row
    session: Session,
    token: str,
    *,
    organization_id: str,
    person_id: str,
    name: str,
    scopes: Sequence[Scope],
    expires_at: datetime | None,
    now: datetime,
) -> AccessToken:
    """Keep the digest of a token and say that there is one."""
    made = AccessToken(
        id=new_id(),
        organization_id=organization_id,
        person_id=person_id,
        name=name,
        hint=token[:HINT_CHARACTERS],
        token_hash=hash_token(token),
        scopes=[str(scope) for scope in scopes],
        created_at=now,
        expires_at=expires_at,
    )
    session.add(made)
    session.flush()
    say(
        session,
        AccessTokenCreated(
            organization_id=organization_id,
            access_token_id=made.id,
            name=name,
            changes=changes_between({}, facts_of(made, FACTS)),
        ),
        now=now,
    )
    return made


def list_tokens(
    session: Session, caller: Caller, *, limit: int = DEFAULT_PER_PAGE, cursor: str = ""
) -> Page[AccessToken]:
    """The caller's tokens in this organization that were not revoked, newest first."""
    statement = (
        sa.select(AccessToken)
        .where(
            AccessToken.person_id == caller.person_id,
            AccessToken.organization_id == caller.organization_id,
            AccessToken.revoked_at.is_(None),
        )
        .order_by(AccessToken.id.desc())
        .limit(limit + 1)
    )
    after = decode_cursor(cursor, parts=1)
    if after is not None:
        statement = statement.where(AccessToken.id < str(after[0]))
    return page_of(session.scalars(statement).all(), limit=limit, key=lambda token: (token.id,))


def revoke_token(session: Session, caller: Caller, token_id: str, *, now: datetime) -> None:
    """Make one of the caller's tokens open nothing, from now on. Raises `NotFound`."""
    found = session.scalar(
        sa.select(AccessToken).where(
            AccessToken.id == token_id,
            AccessToken.person_id == caller.person_id,
            AccessToken.organization_id == caller.organization_id,
            AccessToken.revoked_at.is_(None),
        )
    )
    if found is None:
        raise NotFound("You have no such token; /api/tokens lists yours.")
    found.revoked_at = now
    event = AccessTokenRevoked(
        organization_id=caller.organization_id,
        access_token_id=found.id,
        name=found.name,
        changes=changes_between(facts_of(found, FACTS), {}),
    )
    say(session, event, now=now)


def _refuse_longer(own_end: datetime | None, wanted_end: datetime | None) -> None:
    if own_end is not None and (wanted_end is None or wanted_end > own_end):
        raise Forbidden("A token cannot make one that outlives it; give an earlier expiresAt.")


def _clean_scopes(scopes: Sequence[str]) -> list[Scope]:
    known = {str(scope) for scope in Scope}
    unknown = sorted(set(scopes) - known)
    if unknown or not scopes:
        strange = f"has no {unknown[0][:40]!r}" if unknown else "is empty"
        raise invalid("scopes", f"{strange}; choose from {', '.join(sorted(known))}")
    return [scope for scope in Scope if scope in scopes]
