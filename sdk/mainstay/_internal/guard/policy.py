"""The policy: a document of the server (wire/guard), read once into what decides fast."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mainstay._internal.guard.addresses import Networks
from mainstay._internal.guard.answers import CorsRules, HeaderRules, read_cors, read_headers
from mainstay._internal.guard.keys import Keys, read_keys
from mainstay._internal.guard.limits import Limit, read_limit
from mainstay._internal.guard.reading import Section

_MOST_HOPS = 100
_IPV6_PREFIX_LENGTH = 64

# What holds until a policy was ever seen. It refuses nothing but bodies that no API expects.
DEFAULT_POLICY: Final[dict[str, Any]] = {
    "version": 0,
    "instanceId": "",
    "environment": "",
    "body": {"mostBytes": 10_485_760},
    "headers": {
        "set": {
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "deny",
            "Referrer-Policy": "strict-origin-when-cross-origin",
        },
        "remove": ["Server", "X-Powered-By"],
    },
}


@dataclass(frozen=True, slots=True)
class ClientRules:
    """How the client's address is told."""

    trusted_hops: int
    trusted_networks: Networks[bool]
    ipv6_prefix_length: int


@dataclass(frozen=True, slots=True)
class Ban:
    """Why, and until when (Unix seconds; None for ever), a network may not pass."""

    id: str
    until: float | None
    reason: str


@dataclass(slots=True)
class Meter:
    """What is left of a quota; ``remaining`` is counted down by this process."""

    meter: str
    subject: str
    remaining: int
    is_hard: bool
    resets_at: float | None
    published: int

    def runs(self, now: float) -> bool:
        """Whether its period is not over yet."""
        return self.resets_at is None or self.resets_at > now


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy with every section that guards something; None or empty for one that does not."""

    version: int
    instance_id: str
    simulates: bool
    client: ClientRules
    most_body_bytes: int | None
    headers: HeaderRules
    cors: CorsRules | None
    bans: Networks[Ban] | None
    allowlist: Networks[bool] | None
    keys: Keys | None
    limits: tuple[Limit, ...]
    meters: tuple[Meter, ...]

    @property
    def refuses(self) -> bool:
        """Whether any section may refuse a request for who sends it."""
        return bool(self.bans or self.allowlist or self.keys or self.limits or self.meters)


def read_policy(document: object) -> Policy:
    """Read a policy; what is not known in it is ignored.

    Raises ValueError with the place of the first member that is wrong: half a policy would
    guard less than somebody meant.
    """
    top = Section(document)
    client = top.section("client") or Section({}, "policy.client")
    body, bans = top.section("body"), top.section("bans")
    allowlist, keys = top.section("allowlist"), top.section("keys")
    limits, quotas = top.section("limits"), top.section("quotas")
    headers, cors = top.section("headers"), top.section("cors")
    return Policy(
        version=top.whole("version"),
        instance_id=top.text("instanceId", ""),
        simulates=top.one_of("mode", ("enforce", "simulate"), "enforce") == "simulate",
        client=_read_client(client),
        most_body_bytes=None if body is None else body.whole("mostBytes"),
        headers=read_headers(headers or Section({}, "policy.headers")),
        cors=None if cors is None else read_cors(cors),
        bans=None if bans is None else Networks(bans.each("bans", _read_ban)),
        allowlist=None if allowlist is None else _read_allowlist(allowlist),
        keys=None if keys is None else read_keys(keys),
        limits=() if limits is None else limits.each("policies", read_limit),
        meters=() if quotas is None else quotas.each("meters", _read_meter),
    )


def load_policy(source: object) -> Policy:
    """Read a policy that the app brought along: a document, or the path of a JSON file.

    Raises ValueError when it is none, and OSError when the file cannot be read.
    """
    if isinstance(source, (str, Path)):
        source = json.loads(Path(source).read_text("utf-8"))
    return read_policy(source)


def _read_client(section: Section) -> ClientRules:
    hops, prefix = (
        section.whole("trustedHops", 0),
        section.whole("ipv6PrefixLength", _IPV6_PREFIX_LENGTH),
    )
    if hops > _MOST_HOPS or prefix > 128:  # noqa: PLR2004 - bits of IPv6
        raise section.fail("has more hops or bits than there are")
    return ClientRules(
        hops, Networks((text, True) for text in section.texts("trustedNetworks")), prefix
    )


def _read_ban(section: Section) -> tuple[str, Ban]:
    ban = Ban(section.text("id", ""), section.moment("until"), section.text("reason", ""))
    return section.text("network"), ban


def _read_allowlist(section: Section) -> Networks[bool] | None:
    networks = Networks((text, True) for text in section.texts("networks"))
    return networks if section.flag("active", default=True) else None


def _read_meter(section: Section) -> Meter:
    remaining = section.whole("remaining", least=-(2**53))
    return Meter(
        meter=section.text("meter"),
        subject=section.text("subject"),
        remaining=remaining,
        is_hard=section.one_of("mode", ("hard", "soft", "grace"), "soft") == "hard",
        resets_at=section.moment("resetsAt"),
        published=remaining,
    )
