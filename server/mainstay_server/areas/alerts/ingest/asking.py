"""Who asks at the door of Alertmanager's clients: the holder of a token or of an ingest key."""

import base64
import binascii
import re
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session
from starlette.types import Scope

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.events import Origin
from mainstay_server.kernel.problems import Forbidden, NotFound, Problem, Unauthenticated
from mainstay_server.kernel.settings import ServerSettings, of
from mainstay_server.kernel.web.proxies import client_address
from mainstay_server.tenancy import scopes
from mainstay_server.tenancy.callers import Caller, find_caller
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.seen import note_use
from mainstay_server.tenancy.senders import find_sender
from mainstay_server.tenancy.subjects import ProjectRef, find_project

INGEST_KEY = re.compile(r"[0-9a-f]{32}")
LONGEST_CREDENTIAL = 500
NOTHING_GIVEN = (
    "Send an access token or an ingest key of the project: as a bearer token, or as the password of"
    " any user name."
)


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Who asks about which project. The holder of an ingest key is nobody that may read."""

    project: ProjectRef
    origin: Origin
    administers: bool = False


def credentials_in(scope: Scope) -> tuple[str, ...]:
    """What a request shows: the bearer token, or the password and the user name of Basic."""
    given = b""
    for name, value in scope["headers"]:
        if name == b"authorization":
            given = value
    scheme, _, rest = given.decode("latin-1").strip().partition(" ")
    if scheme.lower() == "bearer":
        return _sensible(rest.strip())
    if scheme.lower() != "basic":
        return ()
    try:
        decoded = base64.b64decode(rest.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return ()
    user, _, password = decoded.partition(":")
    return _sensible(password, user)


def find_asking(session: Session, scope: Scope, slug: str, *, writes: bool, sends: bool) -> Asking:
    """Who asks, if they may: sending takes either credential, all else a token.

    Raises:
        Unauthenticated: nothing was shown, or nothing that opens anything.
        Forbidden: it does not open this, such as an ingest key that wants to read.
        NotFound: there is no such project, or it is not theirs.
    """
    shown = credentials_in(scope)
    if not shown:
        raise Unauthenticated(NOTHING_GIVEN)
    for credential in shown:
        if INGEST_KEY.fullmatch(credential):
            return _by_key(session, scope, slug, credential, sends=sends)
    for credential in shown:
        caller = find_caller(
            session, authorization=f"Bearer {credential}", cookie="", now=utc_now()
        )
        if caller is not None:
            return _by_token(session, scope, slug, caller, writes=writes)
    raise Unauthenticated("The token or key is unknown or was revoked; make another one.")


def _by_key(session: Session, scope: Scope, slug: str, key: str, *, sends: bool) -> Asking:
    shown = {"headers": [(b"authorization", f"Bearer {key}".encode())], "query_string": b""}
    try:
        sender = find_sender(shown, None)
    except Problem:
        raise Unauthenticated("The ingest key is unknown or disabled; copy it anew.") from None
    project = find_project(session, slug)
    if project is None or project.id != sender.project_id:
        raise NotFound(f"There is no project {slug[:60]!r} that this key opens.")
    if not sends:
        raise Forbidden("An ingest key may send alerts and read nothing; use an access token.")
    return Asking(project=project, origin=_origin(scope))


def _by_token(session: Session, scope: Scope, slug: str, caller: Caller, *, writes: bool) -> Asking:
    role = Role.MEMBER if writes else Role.VIEWER
    needed = scopes.Scope.needed_for(role, "project")
    note_use(session_id="", token_id=caller.token_id, now=utc_now())
    project = find_project(session, slug)
    if project is None or project.organization_id != caller.organization_id:
        raise NotFound(f"There is no project {slug[:60]!r}; /api/projects lists yours.")
    if not caller.may(role, needed):
        raise Forbidden(f"This needs the role {role} and a token with the scope {needed}.")
    origin = replace(
        _origin(scope),
        actor=caller.actor,
        name=caller.token_name or caller.person_name,
        email=caller.person_email,
    )
    administers = caller.may(Role.ADMIN, scopes.Scope.ORG_WRITE)
    return Asking(project=project, origin=origin, administers=administers)


def _origin(scope: Scope) -> Origin:
    address = client_address(scope, of(ServerSettings).trusted_proxies)
    return Origin(address=address, client=_client(scope))


def _client(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"user-agent":
            return str(value.decode("latin-1"))[:300]
    return ""


def _sensible(*given: str) -> tuple[str, ...]:
    return tuple(each for each in given if 0 < len(each) <= LONGEST_CREDENTIAL)
