"""A policy made ready to decide: what a request gets by its address, its key and its path."""

import threading
from collections.abc import Sequence
from typing import Any, TypeVar

from mainstay._internal.guard import refusals
from mainstay._internal.guard.addresses import forwarded_entries, read_address
from mainstay._internal.guard.dress import for_asgi, for_wsgi
from mainstay._internal.guard.keys import (
    KEY_PREFIX,
    Key,
    Keys,
    is_well_formed,
    presented_key,
)
from mainstay._internal.guard.limits import Charge, Limit
from mainstay._internal.guard.passage import Client, Passage
from mainstay._internal.guard.paths import Patterns, clean_path
from mainstay._internal.guard.policy import Meter, Policy
from mainstay._internal.guard.refusals import Refusal

_K = TypeVar("_K")
_V = TypeVar("_V")

_CALLS = "calls"
# What the caller alone does not tell.
_BESIDE_CALLER = ("address", "person")
_MOST_REMEMBERED = 8_192
_LONGEST_REMEMBERED = 512
_LONGEST_LENGTH_DIGITS = 18


class Route:
    """What the policy says of some methods and paths."""

    def __init__(
        self,
        *,
        public: bool,
        required: bool,
        scopes: Sequence[str],
        limits: Sequence[Limit],
    ) -> None:
        self.is_public = public
        self.is_required = required
        self.scopes = tuple(dict.fromkeys(scopes))
        self.limits = tuple(limits)
        # Nobody passes without a key.
        self.needs_key = not public and (required or bool(scopes))
        self.charges: dict[str, list[Charge]] = {}

    def stricter(self, other: "Route") -> "Route":
        """Return what holds when two spellings of a path lead to different rules."""
        return Route(
            public=self.is_public and other.is_public,
            required=self.is_required or other.is_required,
            scopes=self.scopes + other.scopes,
            limits=list({limit.key: limit for limit in self.limits + other.limits}.values()),
        )


class _Method:
    """What the policy says of one method; finds the route of a path.

    There are as many routes as combinations of patterns that hold, which are few, whatever the
    paths that are asked for.
    """

    def __init__(self, policy: Policy, method: str) -> None:
        self._keys = keys = policy.keys
        self._limits = [one for one in policy.limits if one.holds_for(method)]
        self._scopes = [] if keys is None else [s for s in keys.scopes if s.holds_for(method)]
        patterns = [limit.paths for limit in self._limits]
        patterns += [rule.paths for rule in self._scopes]
        if keys is not None:
            patterns += [keys.required, keys.public]
        # Those that hold for all paths or for none tell no two paths apart.
        self._telling = [(one.prefixes, one.exact) for one in patterns if _tells(one)]
        self._routes: dict[int, Route] = {}

    def match(self, path: str) -> Route:
        """Return what holds for a path."""
        if path[:1] != "/":
            return self._look_up(path)
        held = 0
        for prefixes, exact in self._telling:
            held += held + (path.startswith(prefixes) or path in exact)
        route = self._routes.get(held)
        if route is None:
            route = self._look_up(path)
            _remember(self._routes, held, route)
        return route

    def _look_up(self, path: str) -> Route:
        keys = self._keys
        return Route(
            public=keys is not None and keys.public.hold(path),
            required=keys is not None and keys.required.hold(path),
            scopes=[name for rule in self._scopes if rule.paths.hold(path) for name in rule.scopes],
            limits=[limit for limit in self._limits if limit.paths.hold(path)],
        )


class Rules:
    """Decides by one policy. What it says of an address or a path is looked up once and kept.

    ``simulates`` is the policy's mode or the app's dry run: nothing is refused, only reported.
    """

    def __init__(
        self, policy: Policy, *, dry_run: bool = False, before: "Rules | None" = None
    ) -> None:
        self.policy = policy
        self.version = policy.version
        self.simulates = policy.simulates or dry_run
        self.when_failed = refusals.GUARD_FAILED if policy.refuses else None
        self.most_body_bytes = policy.most_body_bytes
        # The braces have a cluster of Redis keep all buckets of an app on one node.
        self.bucket_prefix = f"{{{policy.instance_id}}}"
        self.for_asgi = for_asgi(policy)
        self.for_wsgi = for_wsgi(policy)
        self._clients: dict[str, Client] = {}
        self._clients_behind: dict[tuple[str, Any], Client] = {}
        self._keys_presented: dict[tuple[Any, Any], Key] = {}
        self._methods: dict[str, _Method] = {}
        self._meters: dict[str, list[Meter]] = {}
        self._meters_of: dict[str, tuple[Meter, ...]] = {}
        self._lock = threading.Lock()
        self._trusted_hops = policy.client.trusted_hops
        self._nobody = self._look_up("")._replace(trusts_peer=True)
        for meter in policy.meters:
            if meter.meter == _CALLS:
                self._meters.setdefault(meter.subject, []).append(meter)
        if before is not None:
            self._go_on_counting(before)

    def renew_lock(self) -> None:
        """Take a lock of this process, because a thread of the parent may have held the old one."""
        self._lock = threading.Lock()

    def find_client(self, passage: Passage, peer: str) -> None:
        """Tell the true client's address behind the proxies that the policy counts."""
        named = passage.raw.get(passage.FORWARDED_FOR) if self._trusted_hops else None
        if not named:
            passage.known = self._tell_client(passage, peer)
            return
        client = self._clients_behind.get((peer, named))
        if client is None:
            client = self._tell_client(passage, peer)
            if len(named) + len(peer) <= _LONGEST_REMEMBERED:
                _remember(self._clients_behind, (peer, named), client)
        passage.known = client

    def judge_address(self, passage: Passage) -> Refusal | None:
        """Look at the size of the body, the bans and the allowlist."""
        if self.most_body_bytes is not None and self._declares_too_much(passage):
            return refusals.body_too_large(self.most_body_bytes)
        client = passage.known
        for ban in client.bans:
            if ban.until is None or ban.until > passage.at:
                return refusals.banned(ban, now=passage.at)
        return None if client.is_allowed else refusals.ADDRESS_NOT_ALLOWED

    def judge_key(self, passage: Passage) -> Refusal | None:
        """Look at the API key and its scopes.

        A token that does not begin like a key of ours is somebody else's on a path that asks for
        no key: an app may well have sign-in tokens of its own.
        """
        keys = self.policy.keys
        route = passage.matched = self._route(passage)
        if keys is None:
            return None
        raw = passage.raw
        presented = raw.get(passage.AUTHORIZATION), raw.get(passage.X_API_KEY)
        key = self._keys_presented.get(presented)
        if key is None:
            return self._judge_presented(keys, route, passage)
        passage.key = key
        return _judge_found(key, route, passage)

    def _judge_presented(self, keys: Keys, route: Route, passage: Passage) -> Refusal | None:
        """Look at a key that this policy was not shown yet, in this form.

        A good one is remembered as it came, as long as the policy holds, which spares every
        further request two SHA-256. It is in this process' memory anyway while it is used.
        """
        raw = passage.raw
        presented = raw.get(passage.AUTHORIZATION), raw.get(passage.X_API_KEY)
        credential = presented_key(
            passage.header(passage.AUTHORIZATION), passage.header(passage.X_API_KEY)
        )
        if not credential or not (route.needs_key or credential.startswith(KEY_PREFIX)):
            return refusals.KEY_MISSING if route.needs_key else None
        passage.credential = credential
        key = passage.key = keys.find(credential)
        if key is None:
            # Asked second, because whoever has a good key need not be asked.
            well_formed = is_well_formed(credential)
            return refusals.KEY_UNKNOWN if well_formed else refusals.KEY_MALFORMED
        if credential.startswith(KEY_PREFIX) and _length(presented) <= _LONGEST_REMEMBERED:
            _remember(self._keys_presented, presented, key)
        return _judge_found(key, route, passage)

    def charges_for(self, passage: Passage) -> list[Charge]:
        """Return what every limit that holds for the request takes."""
        key = passage.key
        caller = passage.known.caller if key is None else key.caller
        known = passage.matched.charges.get(caller)
        if known is not None:
            return known
        limits = passage.matched.limits
        if key is not None:
            limits += key.limits
        charges = [
            passage.charge(limit)
            for limit in limits
            if not limit.plans or (key is not None and key.plan in limit.plans)
        ]
        if all(charge.limit.by not in _BESIDE_CALLER for charge in charges):
            _remember(passage.matched.charges, caller, charges)
        return charges

    def spend_quota(self, passage: Passage, cost: int) -> Refusal | None:
        """Count the calls of organization and owner down, or refuse a cost that does not fit."""
        if not self._meters:
            return None
        owner = "" if passage.key is None else passage.key.owner
        meters = self._meters_of.get(owner)
        if meters is None:
            mine = self._meters.get(f"owner:{owner}", []) if owner else []
            meters = (*self._meters.get("organization", ()), *mine)
            _remember(self._meters_of, owner, meters)
        with self._lock:
            for meter in meters:
                if meter.remaining < cost and meter.is_hard and meter.runs(passage.at):
                    return refusals.quota_exceeded(meter, now=passage.at)
            for meter in meters:
                meter.remaining -= cost
        return None

    def _declares_too_much(self, passage: Passage) -> bool:
        declared = passage.raw.get(passage.CONTENT_LENGTH)
        if not declared or not (declared.isascii() and declared.isdigit()):
            return False
        assert self.most_body_bytes is not None
        return len(declared) > _LONGEST_LENGTH_DIGITS or int(declared) > self.most_body_bytes

    def _tell_client(self, passage: Passage, peer: str) -> Client:
        """Return the client that trusted proxies name, or else the socket's peer."""
        client = self._client(peer)
        if not (self._trusted_hops and client.trusts_peer):
            return client
        named = passage.header(passage.FORWARDED_FOR)
        entries = forwarded_entries(named, passage.header(passage.FORWARDED))
        if not entries:
            return client
        client = self._client(entries[-min(self._trusted_hops, len(entries))].strip())
        # A proxy that names nobody must not lend its own address to the client.
        return client._replace(trusts_peer=True) if client.address.version else self._nobody

    def _client(self, text: str) -> Client:
        client = self._clients.get(text)
        if client is None:
            client = self._look_up(text)
            if len(text) <= _LONGEST_REMEMBERED:
                _remember(self._clients, text, client)
        return client

    def _look_up(self, text: str) -> Client:
        policy = self.policy
        address = read_address(text)
        return Client(
            address=address,
            caller=f"address:{address.bucket(policy.client.ipv6_prefix_length)}",
            bans=() if policy.bans is None else tuple(policy.bans.of(address)),
            is_allowed=policy.allowlist is None or address in policy.allowlist,
            trusts_peer=address.is_loopback or address in policy.client.trusted_networks,
        )

    def _route(self, passage: Passage) -> Route:
        """Match a path as it came and as it is meant.

        A framework that does not resolve dots or slashes answers the first, one that does the
        second; so a rule holds when either matches, and an exception only when both do.
        """
        asked = self._methods.get(passage.method)
        if asked is None:
            asked = _Method(self.policy, passage.method)
            _remember(self._methods, passage.method, asked)
        path = passage.path
        route = asked.match(path)
        cleaned = clean_path(path)
        return route if cleaned is path else route.stricter(asked.match(cleaned))

    def _go_on_counting(self, before: "Rules") -> None:
        """Keep what was counted down from the same number: it was not news."""
        known = {(m.subject, m.resets_at, m.published): m for m in before.policy.meters}
        for meter in self.policy.meters:
            same = known.get((meter.subject, meter.resets_at, meter.published))
            if same is not None and same.meter == meter.meter:
                meter.remaining = same.remaining


def _judge_found(key: Key, route: Route, passage: Passage) -> Refusal | None:
    if key.expires_at is not None and key.expires_at <= passage.at:
        return refusals.KEY_EXPIRED
    if key.networks is not None and passage.known.address not in key.networks:
        return refusals.KEY_ADDRESS_NOT_ALLOWED
    # Refused after the key was found good, so that the report names no credential.
    passage.credential = ""
    if route.scopes and not key.scopes.issuperset(route.scopes):
        return refusals.insufficient_scope(route.scopes)
    return None


def _tells(patterns: Patterns) -> bool:
    """Whether patterns hold for some paths and not for others; all paths begin with a slash."""
    return bool(patterns.prefixes or patterns.exact) and "/" not in patterns.prefixes


def _length(presented: tuple[Any, Any]) -> int:
    return sum(len(header) for header in presented if header)


def _remember(known: dict[_K, _V], name: _K, value: _V) -> None:
    """Keep the value; when there are too many, begin anew, which costs a few look-ups."""
    if len(known) >= _MOST_REMEMBERED:
        known.clear()
    known[name] = value
