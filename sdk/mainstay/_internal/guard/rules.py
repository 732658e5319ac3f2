"""A policy made ready to decide: what a request gets by its address, its key and its path."""

import threading
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from mainstay._internal.guard import refusals
from mainstay._internal.guard.addresses import (
    NOBODY,
    Address,
    forwarded_entries,
    read_address,
)
from mainstay._internal.guard.keys import (
    KEY_PREFIX,
    Key,
    ScopeRule,
    is_well_formed,
    presented_key,
)
from mainstay._internal.guard.limits import Charge, Limit
from mainstay._internal.guard.passage import Passage
from mainstay._internal.guard.paths import Patterns, clean_path
from mainstay._internal.guard.policy import Ban, Meter, Policy
from mainstay._internal.guard.refusals import Refusal

_K = TypeVar("_K")
_V = TypeVar("_V")

_CALLS = "calls"
_MOST_REMEMBERED = 8_192
_LONGEST_REMEMBERED = 512
_LONGEST_LENGTH_DIGITS = 18


class _Client(NamedTuple):
    """What the policy says of one address."""

    address: Address
    bucket: str
    bans: tuple[Ban, ...]
    allowed: bool
    trusted: bool


class _Route(NamedTuple):
    """What the policy says of one method and path."""

    needs_key: bool
    scopes: tuple[str, ...]
    limits: tuple[Limit, ...]


class Rules:
    """Decides by one policy. What it says of an address or a path is looked up once and kept.

    ``simulates`` is the policy's mode or the app's dry run: nothing is refused, only reported.
    """

    def __init__(
        self, policy: Policy, *, dry_run: bool = False, before: "Rules | None" = None
    ) -> None:
        self.policy = policy
        self.simulates = policy.simulates or dry_run
        self.when_failed = refusals.GUARD_FAILED if policy.refuses else None
        self.most_body_bytes = policy.most_body_bytes
        # The braces have a cluster of Redis keep all buckets of an app on one node.
        self.bucket_prefix = f"{{{policy.instance_id}}}"
        self._clients: dict[str, _Client] = {}
        self._routes: dict[tuple[str, str], _Route] = {}
        self._meters: dict[str, list[Meter]] = {}
        self._lock = threading.Lock()
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
        client = self._client(peer)
        passage.trusts_peer = client.trusted
        hops = self.policy.client.trusted_hops
        if hops and client.trusted:
            entries = forwarded_entries(
                passage.header("x-forwarded-for"), passage.header("forwarded")
            )
            if entries:
                client = self._client(entries[-min(hops, len(entries))].strip())
                if client.address.version == 0:
                    # A proxy that names nobody must not lend its own address to the client.
                    client = client._replace(address=NOBODY, bucket="")
        passage.client = client.address
        passage.bucket = client.bucket

    def judge_address(self, passage: Passage) -> Refusal | None:
        """Look at the size of the body, the bans and the allowlist."""
        if self.most_body_bytes is not None and self._declares_too_much(passage):
            return refusals.body_too_large(self.most_body_bytes)
        if self.policy.bans is None and self.policy.allowlist is None:
            return None
        client = self._client(passage.client.text)
        for ban in client.bans:
            if ban.until is None or ban.until > passage.at:
                return refusals.banned(ban, now=passage.at)
        return None if client.allowed else refusals.ADDRESS_NOT_ALLOWED

    def judge_key(self, passage: Passage) -> Refusal | None:
        """Look at the API key and its scopes.

        A token that does not begin like a key of ours is somebody else's on a path that asks for
        no key: an app may well have sign-in tokens of its own.
        """
        keys = self.policy.keys
        if keys is None:
            return None
        route = self._route(passage.method, passage.path)
        credential = presented_key(passage.header("authorization"), passage.header("x-api-key"))
        if not credential or not (route.needs_key or credential.startswith(KEY_PREFIX)):
            return refusals.KEY_MISSING if route.needs_key else None
        passage.credential = credential
        if not is_well_formed(credential):
            return refusals.KEY_MALFORMED
        key = passage.key = keys.find(credential)
        if key is None:
            return refusals.KEY_UNKNOWN
        return _judge_found(key, route, passage)

    def charges_for(self, passage: Passage) -> list[Charge]:
        """Return what every limit that holds for the request takes."""
        key = passage.key
        limits = self._route(passage.method, passage.path).limits
        plan = "" if key is None else key.plan
        charges = [
            passage.charge(limit) for limit in limits if not limit.plans or plan in limit.plans
        ]
        if key is not None and key.limits:
            charges.extend(passage.charge(limit) for limit in key.limits)
        return charges

    def spend_quota(self, passage: Passage, cost: int) -> Refusal | None:
        """Count the calls of the organization and the key's owner down, or refuse at zero."""
        if not self._meters:
            return None
        meters = list(self._meters.get("organization", ()))
        if passage.key is not None and passage.key.owner:
            meters.extend(self._meters.get(f"owner:{passage.key.owner}", ()))
        running = [m for m in meters if m.resets_at is None or m.resets_at > passage.at]
        with self._lock:
            for meter in running:
                if meter.is_hard and meter.remaining <= 0:
                    return refusals.quota_exceeded(meter, now=passage.at)
            for meter in running:
                meter.remaining -= cost
        return None

    def _declares_too_much(self, passage: Passage) -> bool:
        declared = passage.header("content-length")
        if not declared or not (declared.isascii() and declared.isdigit()):
            return False
        assert self.most_body_bytes is not None
        return len(declared) > _LONGEST_LENGTH_DIGITS or int(declared) > self.most_body_bytes

    def _client(self, text: str) -> _Client:
        client = self._clients.get(text)
        if client is None:
            client = self._look_up(text)
            if len(text) <= _LONGEST_REMEMBERED:
                _remember(self._clients, text, client)
        return client

    def _look_up(self, text: str) -> _Client:
        policy = self.policy
        address = read_address(text)
        return _Client(
            address=address,
            bucket=address.bucket(policy.client.ipv6_prefix_length),
            bans=() if policy.bans is None else tuple(policy.bans.of(address)),
            allowed=policy.allowlist is None or address in policy.allowlist,
            trusted=address.is_loopback or address in policy.client.trusted_networks,
        )

    def _route(self, method: str, path: str) -> _Route:
        route = self._routes.get((method, path))
        if route is None:
            route = self._look_up_route(method, path)
            if len(path) <= _LONGEST_REMEMBERED:
                _remember(self._routes, (method, path), route)
        return route

    def _look_up_route(self, method: str, path: str) -> _Route:
        """Match a path as it came and as it is meant.

        A framework that does not resolve dots or slashes answers the first, one that does the
        second; so a rule holds when either matches, and an exception only when both do.
        """
        paths = {path, clean_path(path)}
        keys = self.policy.keys
        limits = tuple(
            limit
            for limit in self.policy.limits
            if _asks(limit.methods, method) and _any(limit.paths, paths)
        )
        if keys is None:
            return _Route(needs_key=False, scopes=(), limits=limits)
        public = all(keys.public.hold(spelling) for spelling in paths)
        scopes = _scopes_for(keys.scopes, method, paths)
        needs_key = not public and (bool(scopes) or _any(keys.required, paths))
        return _Route(needs_key, scopes, limits)

    def _go_on_counting(self, before: "Rules") -> None:
        """Keep what was counted down from the same number: it was not news."""
        known = {(m.subject, m.resets_at, m.published): m for m in before.policy.meters}
        for meter in self.policy.meters:
            same = known.get((meter.subject, meter.resets_at, meter.published))
            if same is not None and same.meter == meter.meter:
                meter.remaining = same.remaining


def _judge_found(key: Key, route: _Route, passage: Passage) -> Refusal | None:
    if key.expires_at is not None and key.expires_at <= passage.at:
        return refusals.KEY_EXPIRED
    if key.networks is not None and passage.client not in key.networks:
        return refusals.KEY_ADDRESS_NOT_ALLOWED
    # Refused after the key was found good, so that the report names no credential.
    passage.credential = ""
    if not key.scopes.issuperset(route.scopes):
        return refusals.insufficient_scope(route.scopes)
    return None


def _scopes_for(rules: Sequence[ScopeRule], method: str, paths: set[str]) -> tuple[str, ...]:
    wanted: dict[str, None] = {}
    for rule in rules:
        if _asks(rule.methods, method) and _any(rule.paths, paths):
            wanted.update(dict.fromkeys(rule.scopes))
    return tuple(wanted)


def _asks(methods: frozenset[str], method: str) -> bool:
    return not methods or method in methods


def _any(patterns: Patterns, paths: set[str]) -> bool:
    return any(patterns.hold(path) for path in paths)


def _remember(known: dict[_K, _V], name: _K, value: _V) -> None:
    """Keep the value; when there are too many, begin anew, which costs a few look-ups."""
    if len(known) >= _MOST_REMEMBERED:
        known.clear()
    known[name] = value
