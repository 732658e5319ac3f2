"""Deciding: a request goes through the steps of its policy, and the first refusal is the answer."""

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from mainstay_server.areas.guard.models import Mode
from mainstay_server.kernel.guard import GuardedRequest, Passage
from mainstay_server.kernel.problems import Problem

from .policies import Policy

LONGEST_PATH = 2000
CREDENTIAL_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request. `would_refuse` is the code of a refusal that was only simulated."""

    passage: Passage
    problem: Problem | None
    would_refuse: str = ""

    @property
    def refusal(self) -> str:
        """The code of the refusal, simulated or not; "" for a request that passed."""
        return self.problem.code if self.problem else self.would_refuse


async def decide(policy: Policy, request: GuardedRequest) -> Outcome:
    """Ask every step in order; memory and the shared store only.

    What a step could not decide because its store is away, it decides by its own rule: this never
    raises anything but bugs.
    """
    passage = Passage(request=request)
    for step, compiled in policy.steps:
        try:
            await step.decide(compiled, passage)
        except Problem as problem:  # noqa: PERF203 - each step answers by itself
            if policy.mode is Mode.SIMULATE:
                return Outcome(passage, None, problem.code)
            return Outcome(passage, problem)
    return Outcome(passage, None, passage.simulated)


def clean_path(target: str) -> str:
    """The path of a request target as patterns are compared with it, whatever its spelling.

    It is decoded once, slashes in a row become one, and dot segments are resolved (RFC 3986,
    5.2.4).
    """
    path = target[:LONGEST_PATH].partition("?")[0].partition("#")[0]
    if "%" in path:
        path = unquote(path, errors="replace")
    if "//" not in path and "/." not in path and path.startswith("/"):
        return path
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    ends_open = segments[-1] in ("", ".", "..") and bool(kept)
    return "/" + "/".join(kept) + ("/" if ends_open else "")


def client_address(
    peer: str, *, forwarded_for: Sequence[str], client: Mapping[str, Any], trusted: bool
) -> str:
    """The true client behind the proxies that were counted; what it claims itself is not believed.

    `forwarded_for` are the entries of X-Forwarded-For from left to right. Each proxy adds the
    address that it sees at the right, so with n proxies the n-th from the right is the client; a
    proxy asks here on the client's behalf, so there is at least one.
    """
    if not trusted or not forwarded_for:
        return clean_address(peer)
    hops = max(1, int(client.get("trustedHops", 0)))
    return clean_address(forwarded_for[-min(hops, len(forwarded_for))]) or clean_address(peer)


def clean_address(text: str) -> str:
    """An address in its one form: no port, no brackets, IPv4 rather than mapped; "" for others."""
    bare = text.strip().strip('"')
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def credential_digest(credential: str) -> str:
    """What is told of a key that was refused: enough to count different ones, nothing to try."""
    if not credential:
        return ""
    return hashlib.sha256(credential.encode()).hexdigest()[:CREDENTIAL_DIGITS]
