"""Deciding: a request goes through the steps of its policy, and the first refusal is the answer."""

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from mainstay_server.areas.guard.models import Mode
from mainstay_server.kernel.guard import GuardedRequest, Passage
from mainstay_server.kernel.problems import Problem

from .policies import Policy

LONGEST_PATH = 2000
MOST_FORWARDED = 50
# Longer than every address with zone, brackets and port; what follows is no part of one.
LONGEST_ADDRESS = 100
MOST_REMEMBERED = 8192
UNREADABLE = "0.0.0.0"  # noqa: S104 - nobody's address, and nothing listens there
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
    path = _decoded(target)
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


def is_ambiguous(target: str) -> bool:
    """Whether an app may understand another path than `clean_path`: dot segments, or endless."""
    segments = _decoded(target).replace("\\", "/").split("/")
    return len(target) > LONGEST_PATH or "." in segments or ".." in segments


def _decoded(target: str) -> str:
    path = target.partition("?")[0]
    return unquote(path, errors="replace") if "%" in path else path


def forwarded_addresses(forwarded_for: str, forwarded: str) -> Sequence[str]:
    """The entries of X-Forwarded-For, or else the `for` of RFC 7239's Forwarded, left to right."""
    if forwarded_for:
        return forwarded_for.split(",")[-MOST_FORWARDED:]
    found = []
    for element in forwarded.split(",")[-MOST_FORWARDED:] if forwarded else ():
        pairs = (pair.partition("=") for pair in element.split(";"))
        found.append(next((v for k, _, v in pairs if k.strip().lower() == "for"), ""))
    return found


def client_address(
    peer: str, *, forwarded_for: Sequence[str], client: Mapping[str, Any], trusted: bool
) -> str:
    """The true client behind the proxies that were counted; what it claims itself is not believed.

    `forwarded_for` are the entries of X-Forwarded-For from left to right. Each proxy adds the
    address that it sees at the right, so with n proxies the n-th from the right is the client; a
    proxy asks here on the client's behalf, so there is at least one. An entry that nobody can
    read is 0.0.0.0: on no list, and not the proxy, which may be on one.
    """
    if not trusted or not forwarded_for:
        return clean_address(peer)
    hops = max(1, int(client.get("trustedHops", 0)))
    return clean_address(forwarded_for[-min(hops, len(forwarded_for))]) or UNREADABLE


def clean_address(text: str) -> str:
    """An address in its one form: no port, no brackets, IPv4 rather than mapped; "" for others."""
    return _clean_address(text[:LONGEST_ADDRESS])


# The same addresses ask again and again, and reading one costs as much as a limit's decision.
@lru_cache(maxsize=MOST_REMEMBERED)
def _clean_address(text: str) -> str:
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
