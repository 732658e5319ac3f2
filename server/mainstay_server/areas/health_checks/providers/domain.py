"""The domain check: when its registration ends, as its registry tells by RDAP."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from pydantic import AfterValidator, Field

from mainstay_server.areas.health_checks.schemas.orders import (
    ProbeOrder,
    ProbeResult,
    ProviderConfig,
    checked_host,
)
from mainstay_server.areas.health_checks.settings import HealthCheckSettings
from mainstay_server.kernel import outbound
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.outbound import OutboundError, Response, Timings
from mainstay_server.kernel.settings import of

LABEL = "Domain registration"
VALUES = frozenset({"RESPONSE_TIME", "DOMAIN_EXPIRATION", "REGISTRAR", "DOMAIN_STATUS", "BODY"})
EXAMPLE: Mapping[str, Any] = {"domain": "example.com"}
SHORTEST_INTERVAL_SECONDS = 3_600
USUAL_INTERVAL_SECONDS = 21_600
# Registries ask not to be asked often, and the end of a domain moves once a year.
KEPT_SECONDS = 12 * 3_600
MOST_KEPT = 10_000
LIST_KEPT_SECONDS = 24 * 3_600
MOST_BYTES = 1 << 20
NOT_FOUND = 404
OK = 200
MOST_LABELS = 4
ENDING = ("pending delete", "redemption period", "pending restore")
HELD = ("client hold", "server hold")


class _Event(msgspec.Struct, rename="camel"):
    event_action: str = ""
    event_date: str = ""


class _Entity(msgspec.Struct, rename="camel"):
    roles: list[str] = []
    handle: str = ""
    vcard_array: Any = None


class _Domain(msgspec.Struct, rename="camel"):
    """What is looked at of RFC 9083's domain object."""

    events: list[_Event] = []
    status: list[str] = []
    entities: list[_Entity] = []


class _List(msgspec.Struct):
    """RFC 9224: which registry answers for which endings."""

    services: list[list[list[str]]]


@dataclass(frozen=True, kw_only=True)
class Registration:
    """What a registry tells of a domain; `ends_at` is None when it tells no end."""

    domain: str
    ends_at: datetime | None
    status: tuple[str, ...]
    registrar: str
    timings: Timings


class Unregistered(Exception):
    """The registry knows no such domain."""


class NoRegistry(Exception):
    """Nobody can be asked, or nobody answered: that says nothing about the domain."""


def _checked_domain(text: str) -> str:
    name = checked_host(text)
    if "." not in name or name.replace(".", "").isdigit():
        raise ValueError("must be a domain such as example.com")
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        raise ValueError("is no name that a domain can have") from None


class Config(ProviderConfig):
    """Which domain, without www in front."""

    domain: Annotated[str, Field(max_length=253), AfterValidator(_checked_domain)]


def target_of(config: Config) -> str:
    """The domain."""
    return config.domain


def host_of(config: Config) -> str:
    """The ending, whose registry is asked."""
    return f"registry of {config.domain.rpartition('.')[2]}"


async def ask(order: ProbeOrder) -> ProbeResult:
    """Look the registration up, at most twice a day; unhealthy when it has ended or is held.

    A registry that does not answer says nothing about the domain.
    """
    config = Config.model_validate(order.config)
    began = time.monotonic()
    try:
        found = await registration_of(config.domain, timeout_seconds=order.timeout_seconds)
    except NoRegistry as error:
        unasked = OutboundError("blocked", str(error), own_limit=True)
        return order.unanswered(unasked, began=began)
    except Unregistered:
        nothing = OutboundError("protocol", f"{config.domain} is not registered")
        return order.unanswered(nothing, began=began)
    values = {
        "REGISTRAR": found.registrar,
        "DOMAIN_STATUS": list(found.status),
        "BODY": found.domain,
    }
    ends_at = found.ends_at
    facts = {} if ends_at is None else {"domain_ends_at": ends_at.timestamp()}
    result = order.answered(found.timings, values=values, facts={"domain": found.domain, **facts})
    return result.with_fault(_fault(found, utc_now()))


def _fault(found: Registration, now: datetime) -> str:
    if found.ends_at is not None and found.ends_at <= now:
        return f"the registration ended on {found.ends_at:%Y-%m-%d}"
    for status in (*ENDING, *HELD):
        if status in found.status:
            return f"the registry says {status}"
    return ""


_kept: dict[tuple[str, str], tuple[float, Registration]] = {}
_lists: dict[str, tuple[float, dict[str, str]]] = {}


async def registration_of(name: str, *, timeout_seconds: float) -> Registration:
    """The registration a name belongs to, from what is kept for half a day or from its registry.

    Of `api.shop.example.co.uk` the registry is asked for `co.uk`, then `example.co.uk`: the first
    that it knows is it. Raises `Unregistered` and `NoRegistry`.
    """
    where = of(HealthCheckSettings).health_checks_rdap_bootstrap_url
    kept = _kept.get((where, name))
    if kept is not None and kept[0] > time.monotonic():
        return kept[1]
    base = await _registry_of(where, name, timeout_seconds=timeout_seconds)
    labels = name.split(".")
    for count in range(2, min(len(labels), MOST_LABELS) + 1):
        domain = ".".join(labels[-count:])
        response = await _get(f"{base.rstrip('/')}/domain/{domain}", timeout_seconds)
        if response.status == OK:
            found = _read(domain, response)
            if len(_kept) >= MOST_KEPT:
                _kept.clear()
            _kept[where, name] = (time.monotonic() + KEPT_SECONDS, found)
            return found
        if response.status != NOT_FOUND:
            raise NoRegistry(f"The registry answers {response.status} by RDAP")
    raise Unregistered(name)


async def _registry_of(where: str, name: str, *, timeout_seconds: float) -> str:
    kept = _lists.get(where)
    if kept is None or kept[0] < time.monotonic():
        response = await _get(where, timeout_seconds)
        try:
            listed = msgspec.json.decode(response.body, type=_List).services
        except msgspec.MsgspecError:
            raise NoRegistry("The list of registries cannot be read") from None
        places = {
            ending.lower(): next((url for url in urls if url.startswith("https:")), urls[0])
            for endings, urls, *_ in (each for each in listed if len(each) > 1 and each[1])
            for ending in endings
        }
        kept = _lists[where] = (time.monotonic() + LIST_KEPT_SECONDS, places)
    labels = name.split(".")
    for start in range(len(labels)):
        if found := kept[1].get(".".join(labels[start:])):
            return found
    raise NoRegistry(f"The registry of .{labels[-1]} does not tell by RDAP when domains end")


async def _get(url: str, timeout_seconds: float) -> Response:
    try:
        return await outbound.fetch(
            "GET",
            url,
            headers={"accept": "application/rdap+json, application/json;q=0.8"},
            timeout_seconds=timeout_seconds,
            max_body_bytes=MOST_BYTES,
            truncate=False,
            follow_redirects=True,
        )
    except OutboundError as error:
        raise NoRegistry(f"The registry did not answer by RDAP: {error.reason}") from None


def _read(domain: str, response: Response) -> Registration:
    try:
        found = msgspec.json.decode(response.body, type=_Domain)
    except msgspec.MsgspecError:
        raise NoRegistry("The registry answers with something that is no RDAP") from None
    ends = [_time(each.event_date) for each in found.events if each.event_action == "expiration"]
    sellers = [_name_of(each) for each in found.entities if "registrar" in each.roles]
    return Registration(
        domain=domain,
        ends_at=next((each for each in ends if each is not None), None),
        status=tuple(each.lower() for each in found.status[:20]),
        registrar=next(iter(sellers), ""),
        timings=response.timings,
    )


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _name_of(entity: _Entity) -> str:
    """The full name in a jCard (RFC 7095), or else the handle."""
    try:
        names = [line[3] for line in entity.vcard_array[1] if line[0] == "fn"]
        return str(names[0])[:200]
    except (TypeError, IndexError, KeyError):
        return entity.handle[:200]
