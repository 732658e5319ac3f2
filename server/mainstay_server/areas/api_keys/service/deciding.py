"""The guard's step `keys`: whether one request may pass, told from memory alone."""

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mainstay_server.kernel.guard import Facts, GuardedRequest, Passage, Patterns
from mainstay_server.kernel.guard.steps import Section
from mainstay_server.kernel.networks import Networks
from mainstay_server.kernel.problems import Forbidden, Unauthenticated

from .minting import Digester, is_well_formed

OURS = "mst_"

_CHALLENGE = 'Bearer realm="api"'
_INVALID_TOKEN = f'{_CHALLENGE}, error="invalid_token"'
_INSUFFICIENT = f'{_CHALLENGE}, error="insufficient_scope", scope='


@dataclass(frozen=True, slots=True)
class CompiledKey:
    """One key of the policy."""

    facts: Facts
    scopes: frozenset[str]
    expires_at: datetime | None
    networks: Networks


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """What asks for scopes; no methods are all methods."""

    methods: frozenset[str]
    paths: Patterns
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CompiledKeys:
    """The section, ready to be decided by: keys by their digest."""

    digester: Digester
    required: Patterns
    public: Patterns
    rules: tuple[CompiledRule, ...]
    keys: Mapping[str, CompiledKey]


def compile_section(section: Section) -> CompiledKeys:
    """What `decide` reads fast, made once for each version of the policy."""
    return CompiledKeys(
        digester=Digester(b64decode(section["pepper"])),
        required=Patterns(section.get("required", ())),
        public=Patterns(section.get("public", ())),
        rules=tuple(_compile_rule(rule) for rule in section.get("scopes", ())),
        keys={key["digest"]: _compile_key(key) for key in section.get("keys", ())},
    )


async def decide(compiled: CompiledKeys, passage: Passage) -> None:
    """Let a request pass if its key may, and note in the passage whose key it is.

    What does not begin as our keys do is the app's own affair where no key is asked for. A key of
    ours is looked at everywhere.

    Raises:
        Unauthenticated: `key-missing`, `key-malformed`, `key-unknown` or `key-expired` (RFC 6750).
        Forbidden: `key-address-not-allowed` or `insufficient-scope`.
    """
    request = passage.request
    needed = _scopes_needed(compiled, request)
    credential = request.credential
    if not credential.startswith(OURS):
        if _asks_for_a_key(compiled, request, needed):
            raise _malformed() if credential else _missing()
        return
    key = compiled.keys.get(compiled.digester.digest_of(credential))
    if key is None:
        # Asked second, because whoever has a good key need not be asked.
        if not is_well_formed(credential):
            raise _malformed()
        raise Unauthenticated(
            "Nobody issued this API key, or it was revoked; ask its issuer for a new one.",
            code="key-unknown",
            headers={"WWW-Authenticate": _INVALID_TOKEN},
        )
    passage.facts = key.facts
    _refuse_dead_or_elsewhere(key, request)
    if needed and not key.scopes.issuperset(needed):
        scopes = " ".join(needed)
        raise Forbidden(
            f"This needs an API key with the scopes: {scopes}; ask its issuer for them.",
            code="insufficient-scope",
            headers={"WWW-Authenticate": f'{_INSUFFICIENT}"{scopes}"'},
        )


def _scopes_needed(compiled: CompiledKeys, request: GuardedRequest) -> tuple[str, ...]:
    """The scopes that the policy or the app asks for, each once."""
    if not (request.scopes or compiled.rules):
        return ()
    found = list(request.scopes)
    for rule in compiled.rules:
        if (not rule.methods or request.method in rule.methods) and rule.paths.match(request.path):
            found += rule.scopes
    return tuple(dict.fromkeys(found))


def _asks_for_a_key(
    compiled: CompiledKeys, request: GuardedRequest, needed: tuple[str, ...]
) -> bool:
    """Whether nobody may pass without a key: scopes ask for one too, since only keys have them."""
    if request.scopes:
        return True
    if compiled.public.match(request.path):
        return False
    return bool(needed) or request.key_required or compiled.required.match(request.path)


def _refuse_dead_or_elsewhere(key: CompiledKey, request: GuardedRequest) -> None:
    if key.expires_at is not None and key.expires_at <= request.at:
        raise Unauthenticated(
            f"This API key ended at {key.expires_at:%Y-%m-%d %H:%M:%S} UTC; use its successor.",
            code="key-expired",
            headers={"WWW-Authenticate": _INVALID_TOKEN},
        )
    if key.networks and request.address and request.address not in key.networks:
        raise Forbidden(
            "This API key may not be used from this address; ask its issuer to allow it.",
            code="key-address-not-allowed",
        )


def _missing() -> Unauthenticated:
    return Unauthenticated(
        "This needs an API key; send it as Authorization: Bearer or X-API-Key.",
        code="key-missing",
        headers={"WWW-Authenticate": _CHALLENGE},
    )


def _malformed() -> Unauthenticated:
    return Unauthenticated(
        "This is no API key: a character is missing or mistyped; copy the whole key again.",
        code="key-malformed",
        headers={"WWW-Authenticate": _INVALID_TOKEN},
    )


def _compile_rule(rule: Mapping[str, Any]) -> CompiledRule:
    return CompiledRule(
        methods=frozenset(rule.get("methods", ())),
        paths=Patterns(rule["paths"]),
        scopes=tuple(rule["scopes"]),
    )


def _compile_key(key: Mapping[str, Any]) -> CompiledKey:
    scopes, ends_at = tuple(key.get("scopes", ())), key.get("expiresAt")
    return CompiledKey(
        facts=Facts(
            key_id=key["id"],
            owner=key.get("owner", ""),
            plan=key.get("plan", ""),
            scopes=scopes,
            limits=tuple(key.get("limits", ())),
        ),
        scopes=frozenset(scopes),
        expires_at=None if ends_at is None else datetime.fromisoformat(ends_at),
        networks=Networks(key.get("networks", ())),
    )
