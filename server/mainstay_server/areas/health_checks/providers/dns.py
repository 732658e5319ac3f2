"""The DNS check: a question to a name server, its answers, and whether they are signed."""

import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver
from pydantic import AfterValidator, Field

from mainstay_server.areas.health_checks.schemas.orders import (
    Port,
    ProbeOrder,
    ProbeResult,
    ProviderConfig,
    checked_host,
)
from mainstay_server.kernel import outbound
from mainstay_server.kernel.outbound import OutboundError, Timings

LABEL = "DNS name"
VALUES = frozenset(
    {"CONNECTED", "RESPONSE_TIME", "IP", "BODY", "ANSWERS", "TTL", "DNS_RCODE", "DNSSEC"}
)
EXAMPLE: Mapping[str, Any] = {
    "name": "shop.example.com",
    "type": "A",
    "resolver": "ns1.example.com",
    "expect": ["203.0.113.7"],
}
MOST_ANSWERS = 50
MOST_BYTES = 65_535
Type = Literal["A", "AAAA", "CAA", "CNAME", "DS", "HTTPS", "MX", "NS", "PTR", "SOA", "SRV", "TXT"]


def _checked_name(text: str) -> str:
    try:
        dns.name.from_text(text)
    except (dns.exception.DNSException, UnicodeError, ValueError) as error:
        raise ValueError(f"is no name that DNS knows: {error}") from None
    return text


class Config(ProviderConfig):
    """What to ask, and whom: a name server, or with none the one that this machine uses itself.

    Every record of `expect` must be among the answers, and with `exactly` no other. `dnssec` asks
    that the name server has verified the answer.
    """

    name: Annotated[str, Field(min_length=1, max_length=253), AfterValidator(_checked_name)]
    type: Type = "A"
    resolver: Annotated[str, AfterValidator(lambda host: host and checked_host(host))] = ""
    port: Port = 53
    expect: Annotated[
        list[Annotated[str, Field(max_length=1_000)]], Field(max_length=MOST_ANSWERS)
    ] = Field(default_factory=list)
    exactly: bool = False
    rcode: Literal["NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", "FORMERR", "NOTIMP"] = "NOERROR"
    dnssec: bool = False


def target_of(config: Config) -> str:
    """The name, its type, and who is asked."""
    about = f" at {config.resolver}" if config.resolver else ""
    return f"{config.name} {config.type}{about}"


def host_of(config: Config) -> str:
    """Whoever is asked."""
    return config.resolver or "the resolver of this machine"


async def ask(order: ProbeOrder) -> ProbeResult:
    """Ask once, over TCP when the answer does not fit a packet; unhealthy when it is another."""
    config = Config.model_validate(order.config)
    began = time.monotonic()
    question = dns.message.make_query(config.name, config.type, want_dnssec=config.dnssec)
    # AD in the question asks for it in the answer (RFC 6840 section 5.7).
    question.flags |= dns.flags.AD if config.dnssec else 0
    try:
        answer, timings, address = await _exchange(order, config, question)
    except OutboundError as error:
        return order.unanswered(error, began=began)
    except (dns.exception.DNSException, ValueError) as error:
        about = f"answers with something that is no DNS ({type(error).__name__})"
        unread = OutboundError("protocol", about)
        return order.unanswered(unread, began=began)
    return _judged(order, config, answer, order.answered(timings, values={"IP": address}))


async def _exchange(
    order: ProbeOrder, config: Config, question: dns.message.QueryMessage
) -> tuple[dns.message.Message, Timings, str]:
    host = config.resolver or _own_resolver()
    trusted = not config.resolver
    left = order.timeout_seconds
    async with outbound.dial_udp(
        host, config.port, timeout_seconds=left, trusted=trusted
    ) as datagrams:
        await datagrams.send(question.to_wire())
        while True:
            answer = _read(await datagrams.receive())
            # Another's answer, or an old one, is not ours.
            if answer is not None and question.is_response(answer):
                break
        timings, address = datagrams.timings(), datagrams.address
    if not answer.flags & dns.flags.TC:
        return answer, timings, address
    async with outbound.dial(host, config.port, timeout_seconds=left, trusted=trusted) as wire:
        packet = question.to_wire()
        await wire.send(len(packet).to_bytes(2, "big") + packet)
        length = int.from_bytes(await wire.read_exactly(2), "big")
        whole = dns.message.from_wire(await wire.read_exactly(length))
        return whole, wire.timings(), wire.address


def _read(packet: bytes) -> dns.message.Message | None:
    try:
        return dns.message.from_wire(packet, ignore_trailing=True, raise_on_truncation=False)
    except dns.exception.DNSException:
        return None


def _own_resolver() -> str:
    """The name server that this machine is set to use."""
    try:
        servers = dns.resolver.get_default_resolver().nameservers
    except dns.exception.DNSException:
        servers = []
    if not servers:
        raise OutboundError("dns", "This machine is set to use no name server; name one.")
    return str(servers[0])


def _judged(
    order: ProbeOrder, config: Config, answer: dns.message.Message, result: ProbeResult
) -> ProbeResult:
    wanted = dns.rdatatype.from_text(config.type)
    sets = [each for each in answer.answer if each.rdtype == wanted]
    found = [_text(record) for each in sets for record in each][:MOST_ANSWERS]
    rcode = dns.rcode.to_text(answer.rcode())
    signed = bool(answer.flags & dns.flags.AD)
    result = result.with_values(
        {
            "DNS_RCODE": rcode,
            "ANSWERS": found,
            "BODY": found[0] if found else "",
            "TTL": min((each.ttl for each in sets), default=0),
            "DNSSEC": signed,
        }
    )
    return result.with_fault(_fault(order, config, rcode=rcode, found=found, signed=signed))


def _fault(order: ProbeOrder, config: Config, *, rcode: str, found: list[str], signed: bool) -> str:
    if rcode != config.rcode and not order.speaks_of("DNS_RCODE"):
        return f"answers {rcode}, not {config.rcode}"
    wanted = [each.rstrip(".").lower() for each in config.expect]
    have = [each.rstrip(".").lower() for each in found]
    missing = [each for each in wanted if each not in have]
    shown = ", ".join(found[:5]) or "nothing"
    if missing:
        return f"answers {shown}; {', '.join(missing[:5])} is missing"
    if config.exactly and set(have) - set(wanted):
        return f"answers {shown}, which is more than {', '.join(config.expect[:5])}"
    if config.dnssec and not signed:
        return "the answer is not verified by DNSSEC"
    judged_by_conditions = order.speaks_of("ANSWERS") or order.speaks_of("BODY")
    if not found and rcode == "NOERROR" and not judged_by_conditions:
        return f"there is no {config.type} record"
    return ""


def _text(record: Any) -> str:  # noqa: ANN401 - dnspython's records share no typed base
    """A record as people write it; of a TXT its text without quotes."""
    strings = getattr(record, "strings", None)
    if strings is not None:
        return b"".join(strings).decode("utf-8", "replace")
    return str(record).rstrip(".")
