"""A request on its way through the guard, and how the app gets at it."""

import random
import secrets
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mainstay._internal.guard.addresses import NOBODY, Address
from mainstay._internal.guard.keys import Key
from mainstay._internal.guard.limiter import Limiter
from mainstay._internal.guard.limits import Charge, Decision, Limit, Standing
from mainstay._internal.guard.policy import Ban
from mainstay._internal.guard.refusals import Refusal
from mainstay._internal.routes import Seen
from mainstay._internal.trace import read_traceparent

if TYPE_CHECKING:
    from mainstay._internal.guard.rules import Route, Rules

_LONGEST_REQUEST_ID = 128
_LONGEST_PERSON = 200
_SAMPLED = "01"


class Client(NamedTuple):
    """What the policy says of who asks by address alone.

    ``caller`` is whom limits by caller count, and ``trusts_peer`` whether what the socket's peer
    says of the request is believed.
    """

    address: Address
    caller: str
    bans: tuple[Ban, ...] = ()
    is_allowed: bool = True
    trusts_peer: bool = False


_NOBODY: Final = Client(NOBODY, "address:")


class Passage(Seen):
    """The request that is being answered; ``mainstay.current_request()`` returns it.

    Also found in the ASGI scope and the WSGI environ under ``mainstay``. What an app may rely on
    are the properties; all else is the guard's.
    """

    # What the protocol calls the headers that requests are asked for, as keys of `raw`.
    ASKED_METHOD: Any
    AUTHORIZATION: Any
    CONTENT_LENGTH: Any
    FORWARDED: Any
    FORWARDED_FOR: Any
    ORIGIN: Any
    TRACEPARENT: Any
    X_API_KEY: Any
    X_REQUEST_ID: Any

    # No slots: defaults of the class cost nothing for each request.
    method: str = ""
    path: str = ""
    raw: Mapping[Any, Any] = MappingProxyType({})
    known: Client = _NOBODY
    matched: "Route"
    is_preflight: bool = False
    # Whether a route asked something of this request itself: its answer is for nobody else.
    is_marked: bool = False
    key: Key | None = None
    credential: str = ""
    person_name: str = ""
    cost: int = 1
    charges: Sequence[Charge] = ()
    standings: Sequence[Standing] = ()
    refusal: Refusal | None = None
    simulated: Refusal | None = None
    _trace_id: str = ""
    _span_id: str = ""
    _flags: str = _SAMPLED
    _request_id: str = ""
    _nonce: str = ""

    def __init__(self, limiter: Limiter, rules: "Rules", at: float, *, routed: bool) -> None:
        self.routed = routed
        self.route = None
        self.limiter = limiter
        self.rules = rules
        self.at = at

    def read(self, carrier: Any) -> str:  # noqa: ANN401 - an ASGI scope or a WSGI environ
        """Take in what the decision needs of the request; return the socket's peer."""
        raise NotImplementedError

    def framework(self) -> str:
        """Return which framework answers: ``starlette``, ``flask``, ``django``, or ``""``."""
        raise NotImplementedError

    def header(self, name: Any) -> str:  # noqa: ANN401 - bytes or text, as the protocol has names
        """Return a header of the request by its key in ``raw``, ``""`` when it has none."""
        raise NotImplementedError

    @property
    def trace_id(self) -> str:
        """The W3C trace that the request belongs to: its caller's, or a new one."""
        if not self._trace_id:
            read = read_traceparent(self.header(self.TRACEPARENT))
            # These ids must be different, not secret, and this source costs a tenth.
            self._trace_id, self._flags = read or (
                f"{random.getrandbits(128) or 1:032x}",
                _SAMPLED,
            )
        return self._trace_id

    @property
    def span_id(self) -> str:
        """This app's part of the trace."""
        if not self._span_id:
            self._span_id = f"{random.getrandbits(64) or 1:016x}"
        return self._span_id

    @property
    def traceparent(self) -> str:
        """The header to send along with requests that this one causes (W3C Trace Context)."""
        return f"00-{self.trace_id}-{self.span_id}-{self._flags}"

    @property
    def request_id(self) -> str:
        """The ``X-Request-ID`` that a trusted proxy gave, else the span id."""
        if not self._request_id:
            given = self.header(self.X_REQUEST_ID) if self.known.trusts_peer else ""
            usable = given.isascii() and given.isprintable() and len(given) <= _LONGEST_REQUEST_ID
            self._request_id = given if given and usable else self.span_id
        return self._request_id

    @property
    def client_address(self) -> str:
        """The true client's address, behind the proxies that the policy trusts."""
        return self.known.address.text

    @property
    def key_id(self) -> str:
        """The id of the API key, or ``""``."""
        return "" if self.key is None else self.key.id

    @property
    def owner(self) -> str:
        """Whom the API key belongs to, or ``""``."""
        return "" if self.key is None else self.key.owner

    @property
    def plan(self) -> str:
        """The plan of the API key's owner, or ``""``."""
        return "" if self.key is None else self.key.plan

    @property
    def scopes(self) -> frozenset[str]:
        """What the API key may do."""
        return frozenset() if self.key is None else self.key.scopes

    @property
    def person(self) -> str:
        """Whom ``mainstay.identify`` named, or ``""``."""
        return self.person_name

    @property
    def csp_nonce(self) -> str:
        """The nonce that stands for ``{nonce}`` in the policy's Content-Security-Policy."""
        if not self._nonce:
            # CSP Level 3 §8.1 asks for 128 bits that nobody can guess.
            self._nonce = secrets.token_urlsafe(16)
        return self._nonce

    def name_person(self, person: object) -> None:
        """Say who is asking."""
        self.person_name = str(person)[:_LONGEST_PERSON]

    def charge(self, limit: Limit, cost: int | None = None) -> Charge:
        """Return what a limit takes for this request."""
        amount = limit.unit_us * (self.cost if cost is None else cost)
        return Charge(limit, self.bucket_of(limit), amount, limit.tolerance_us)

    def bucket_of(self, limit: Limit) -> str:
        """Return the name of the bucket that a limit counts this request in."""
        return f"{self.rules.bucket_prefix}{limit.key}|{self.subject(limit.by)}"

    def settle(self, decision: Decision, charges: list[Charge]) -> None:
        """Note what was charged and how the limits stand now."""
        if decision.admitted:
            self.charges = [*self.charges, *charges] if self.charges else charges
        if not self.standings:
            self.standings = decision.standings
        elif decision.standings:
            news = {standing.limit.key for standing in decision.standings}
            others = [s for s in self.standings if s.limit.key not in news]
            self.standings = [*others, *decision.standings]

    def subject(self, by: str) -> str:
        """Return whom a limit counts; what is not known falls back to the caller."""
        key = self.key
        if by == "person" and self.person_name:
            return f"person:{self.person_name}"
        if by == "instance":
            return "instance"
        if by == "address" or key is None:
            return self.known.caller
        if by == "owner" and key.owner:
            return f"owner:{key.owner}"
        if by == "plan" and key.plan:
            return f"plan:{key.plan}"
        return key.caller


CURRENT: Final[ContextVar[Passage | None]] = ContextVar("mainstay_request", default=None)


def current_request() -> Passage | None:
    """Return the request that is being answered here, or None outside of one.

    Works in async and plain endpoints, and in threads that the framework starts for them.
    """
    return CURRENT.get()
