"""The guard itself: what both doors share."""

import functools
import importlib
import inspect
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from mainstay._internal import django, flask
from mainstay._internal.client import Client
from mainstay._internal.clock import Clock
from mainstay._internal.guard.limiter import Limiter, SharedStore
from mainstay._internal.guard.limits import NO_LIMITS, SECOND_US, Buckets, Charge, Decision
from mainstay._internal.guard.passage import Passage
from mainstay._internal.guard.policy import DEFAULT_POLICY, Policy, load_policy, read_policy
from mainstay._internal.guard.refusals import NO_POLICY, Refusal, limiter_unavailable, rate_limited
from mainstay._internal.guard.rules import Rules
from mainstay._internal.guard.source import PolicySource
from mainstay._internal.health import Health
from mainstay._internal.shield import SHIELD, logger

_ASGI_PARAMETERS = 3
_DEFAULT = read_policy(DEFAULT_POLICY)
WhoAsks = Callable[[Any], object]


class Guard:
    """Guard an app and measure it, in one pass per request: ``app = mainstay.Guard(app)``.

    Works around ASGI and WSGI apps (``app.wsgi_app = mainstay.Guard(app.wsgi_app)`` for Flask)
    and inside Starlette (``app.add_middleware(mainstay.Guard)``). It does all that
    ``ASGIMiddleware`` and ``WSGIMiddleware`` do; beyond that it gives every request its ids and
    the client's true address, and lets it pass or refuses it by the project's policy: body size,
    bans, allowlist, API key and scopes, rate limits, quotas, CORS, security headers.

    The policy comes from the server when ``init`` knows the guard key, in the background, and
    from its last copy on disk while the server is away; or from ``policy``, a document or the
    path of a JSON file. The first requests of a process that has none wait for it, two seconds
    at most. Should there be none then, the guard sets ids and a few headers, refuses bodies over
    10 MiB, and lets everybody pass, which it says in the log; with ``require_policy`` it refuses
    with 503 instead, until there is one.

    ``health`` is served as the middlewares do. ``redis`` is the URL of a Redis for limits that
    all processes share (``pip install 'mainstay[redis]'``). ``dry_run`` refuses nothing and only
    reports what it would have refused. ``person`` is called with the ASGI scope or the WSGI
    environ and returns who is asking, for limits by person, when that is known without the app.
    ``max_buckets`` bounds the limiter's memory (about 300 bytes each).

    Raises ValueError for a ``policy`` that is none, and OSError when its file cannot be read:
    an app must not start unguarded by mistake. It raises nothing later.
    """

    def __new__(cls, app: object, *_args: object, **_options: object) -> Any:  # noqa: ANN401 - a door
        """Make the guard of the app's kind."""
        if cls is not Guard:
            return super().__new__(cls)
        door = "asgi" if is_asgi(app) else "wsgi"
        # The doors are made of this class, so that it cannot import them first.
        module = importlib.import_module(f"mainstay._internal.guard.{door}")
        return super().__new__(module.Door)

    def __init__(  # noqa: PLR0913 - options, each with a default that works
        self,
        app: Any,  # noqa: ANN401 - an ASGI or a WSGI app
        *,
        health: Health | None = None,
        policy: Mapping[str, Any] | str | Path | None = None,
        redis: str | None = None,
        dry_run: bool = False,
        require_policy: bool = False,
        person: WhoAsks | None = None,
        max_buckets: int = 100_000,
        clock: Clock | None = None,
    ) -> None:
        self.app = app
        self.routing = flask.find_routing(app)
        self.routed = django.watch_routes(app) or self.routing is not None
        self.health = health
        self.metrics = None if health is None else health.metrics
        self.clock = clock or Clock()
        buckets = Buckets(max_buckets)
        self.limiter = Limiter(buckets, None if redis is None else _store(redis, buckets))
        self._dry_run = dry_run
        self._person = person
        self._is_local = policy is not None
        self._policy = _DEFAULT if policy is None else load_policy(policy)
        self._rules = Rules(self._policy, dry_run=dry_run)
        self._bare = None if self._is_local else self._rules
        self._without_policy = NO_POLICY if require_policy else None
        self._has_warned = False
        self._adopting = threading.Lock()
        _renew_locks_after_fork(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - ASGI's or WSGI's
        """Answer a request; the doors do."""
        raise NotImplementedError

    def rules(self, client: Client | None) -> Rules:
        """Return the rules of this moment."""
        if not self._is_local and client is not None and client.policies is not None:
            client.policies.start_once()
            policy = client.policies.policy
            if policy is not None and policy is not self._policy:
                self._adopt(policy)
        return self._rules

    def source_of_first(self, client: Client | None) -> PolicySource | None:
        """Return what gives the first policy; None as soon as there is one."""
        if self.rules(client) is not self._bare or client is None:
            return None
        return client.policies

    def first_rules(self, client: Client | None) -> Rules:
        """Return the rules after the wait for the first policy, and say once when there is none."""
        rules = self.rules(client)
        if rules is self._bare and not self._has_warned:
            self._has_warned = True
            does = "refuses every request" if self._without_policy else "lets every request pass"
            logger.warning("The guard has no policy, and %s until it has; see its guard key.", does)
        return rules

    def admit(self, passage: Passage, carrier: Any) -> Refusal | None:  # noqa: ANN401 - scope or environ
        """Decide; with a shared store this waits for the network, at most its time-out.

        Should our own code fail, a request is refused under a policy that refuses any: what
        makes the guard stumble must not be a way around it.
        """
        try:
            refusal = self._before_limits(passage, carrier)
            if refusal is None and not passage.is_preflight:
                charges = passage.rules.charges_for(passage)
                decision = self.limiter.decide(charges, now_us(passage)) if charges else NO_LIMITS
                refusal = _after_limits(passage, charges, decision)
        except Exception as error:  # noqa: BLE001 - what the shield is for
            SHIELD.swallow(error)
            refusal = passage.rules.when_failed
        return None if refusal is None else enforced(passage, refusal)

    async def admit_async(self, passage: Passage, carrier: Any) -> Refusal | None:  # noqa: ANN401 - as above
        """Decide as ``admit`` does, without holding up the event loop."""
        refusal = passage.rules.when_failed
        with SHIELD:
            found = self._before_limits(passage, carrier)
            if found is None and not passage.is_preflight:
                charges = passage.rules.charges_for(passage)
                decision = NO_LIMITS
                if charges:
                    decision = await self.limiter.decide_async(charges, now_us(passage))
                found = _after_limits(passage, charges, decision)
            refusal = found
        return enforced(passage, refusal)

    def renew_locks(self) -> None:
        """Take locks of this process, because a thread of the parent may have held the old ones."""
        self._adopting = threading.Lock()
        self._rules.renew_lock()
        self.limiter.buckets.renew_lock()

    def _before_limits(self, passage: Passage, carrier: Any) -> Refusal | None:  # noqa: ANN401 - as above
        rules = passage.rules
        rules.find_client(passage, passage.read(carrier))
        refusal = rules.judge_address(passage)
        if refusal is None and rules is self._bare:
            refusal = self._without_policy
        if refusal is not None:
            return refusal
        if passage.method == "OPTIONS" and rules.policy.cors is not None and _asks_first(passage):
            passage.is_preflight = True
            return None
        if self._person is not None:
            passage.name_person(self._person(carrier) or "")
        return rules.judge_key(passage)

    def _adopt(self, policy: Policy) -> None:
        with self._adopting:
            if policy is not self._policy:
                self._rules = Rules(policy, dry_run=self._dry_run, before=self._rules)
                self._policy = policy


def _after_limits(passage: Passage, charges: list[Charge], decision: Decision) -> Refusal | None:
    if decision.admitted and not decision.simulated:
        passage.charges, passage.standings = charges, decision.standings
    else:
        refusal = refusal_of(passage, charges, decision)
        if refusal is not None:
            return refusal
    return passage.rules.spend_quota(passage, passage.cost)


def refusal_of(passage: Passage, charges: list[Charge], decision: Decision) -> Refusal | None:
    """Note a decision of the limits, and return the refusal in it."""
    passage.settle(decision, charges)
    if decision.unavailable:
        return limiter_unavailable(decision.unavailable)
    if not decision.admitted:
        return rate_limited(decision.standings)
    if not all(standing.admits for standing in decision.simulated):
        passage.simulated = passage.simulated or rate_limited(decision.simulated)
    return None


def enforced(passage: Passage, refusal: Refusal | None) -> Refusal | None:
    """Return what is really refused: nothing while the guard only simulates."""
    if refusal is None:
        return None
    if passage.rules.simulates:
        passage.simulated = passage.simulated or refusal
        return None
    passage.refusal = refusal
    return refusal


def now_us(passage: Passage) -> int:
    """Return when the request came, in the limiter's unit."""
    return int(passage.at * SECOND_US)


def _asks_first(passage: Passage) -> bool:
    """Whether it is a browser's question before a request of another origin (a preflight)."""
    return bool(passage.raw.get(passage.ORIGIN) and passage.raw.get(passage.ASKED_METHOD))


def is_asgi(app: object) -> bool:
    """Tell an ASGI app from a WSGI app: it is async, or it takes three things instead of two."""
    while isinstance(app, functools.partial):
        app = app.func
    call = app if inspect.isroutine(app) else getattr(app, "__call__", app)  # noqa: B004 - asked for what it is
    if inspect.iscoroutinefunction(call):
        return True
    try:
        parameters = inspect.signature(cast("Callable[..., Any]", app)).parameters.values()
    except (TypeError, ValueError):
        return False
    needed = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    return len(needed) == _ASGI_PARAMETERS


def _store(url: str, buckets: Buckets) -> SharedStore:
    """Open the shared store; imported here, because redis is an extra."""
    try:
        module = importlib.import_module("mainstay._internal.guard.in_redis")
    except ModuleNotFoundError as error:
        raise ImportError("Limits in Redis need: pip install 'mainstay[redis]'") from error
    return cast("SharedStore", module.RedisStore(url, buckets))


def _renew_locks_after_fork(guard: Guard) -> None:
    if hasattr(os, "register_at_fork"):
        reference = weakref.ref(guard)

        def renew() -> None:
            alive = reference()
            if alive is not None:
                alive.renew_locks()

        os.register_at_fork(after_in_child=renew)
