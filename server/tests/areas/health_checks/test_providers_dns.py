"""The DNS check against a real name server: answers, refusals, long ones, and silence."""

from collections.abc import Iterator
from typing import Any

import pytest
from dnslib import QTYPE, RCODE, RR, TXT, A
from dnslib.server import BaseResolver, DNSServer
from mainstay_server.kernel import outbound
from tests.areas.health_checks.worlds import ask
from tests.servers.packets import packets
from tests.servers.processes import free_port
from typing_extensions import override

ZONE = """
shop.example.com.  60 IN A     203.0.113.7
shop.example.com.  30 IN A     203.0.113.8
shop.example.com.  60 IN MX    10 mail.example.com.
shop.example.com.  60 IN TXT   "v=spf1 -all"
www.example.com.   60 IN CNAME shop.example.com.
"""


class Zone(BaseResolver):  # type: ignore[misc]  # it has no types
    """A zone; `many.example.com` does not fit a packet, `signed.example.com` is verified."""

    @override
    def resolve(self, request: Any, handler: Any) -> Any:
        reply, name = request.reply(), str(request.q.qname)
        reply.header.ad = 0
        if name == "many.example.com.":
            reply.add_answer(*(RR(name, QTYPE.TXT, rdata=TXT(f"{n:0200}")) for n in range(20)))
        if name == "signed.example.com.":
            reply.add_answer(RR(name, QTYPE.A, rdata=A("203.0.113.9")))
            reply.header.ad = 1
        records = [rr for rr in RR.fromZone(ZONE) if str(rr.rname) == name]
        reply.add_answer(*(rr for rr in records if rr.rtype == request.q.qtype))
        if not records and not reply.rr:
            reply.header.rcode = RCODE.NXDOMAIN
        return reply


@pytest.fixture(scope="module")
def name_server() -> Iterator[int]:
    port = free_port()
    servers = [DNSServer(Zone(), address="127.0.0.1", port=port, tcp=tcp) for tcp in (False, True)]
    for server in servers:
        server.start_thread()
    yield port
    for server in servers:
        server.stop()
        server.server.server_close()


@pytest.fixture(autouse=True)
def way_out() -> Iterator[None]:
    outbound.open_outbound(allow_private=True)
    yield
    outbound.close_outbound()


def of(port: int, **more: Any) -> dict[str, Any]:
    return {"resolver": "127.0.0.1", "port": port, "name": "shop.example.com", **more}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"expect": ["203.0.113.7"]},
        {"expect": ["203.0.113.7", "203.0.113.8"], "exactly": True},
        {"type": "MX", "expect": ["10 mail.example.com"]},
        {"type": "TXT", "expect": ["v=spf1 -all"]},
        {"name": "www.example.com", "type": "CNAME", "expect": ["SHOP.example.com."]},
        {"name": "gone.example.com", "rcode": "NXDOMAIN"},
        {"name": "signed.example.com", "dnssec": True},
    ],
)
def test_the_answer_that_is_wanted_is_healthy(name_server: int, more: dict[str, Any]) -> None:
    result = ask("dns", of(name_server, **more))

    assert (result.state, result.reason) == ("healthy", "")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"name": "gone.example.com"}, "answers NXDOMAIN, not NOERROR"),
        ({"type": "AAAA"}, "there is no AAAA record"),
        ({"rcode": "NXDOMAIN"}, "answers NOERROR, not NXDOMAIN"),
        ({"expect": ["203.0.113.99"]}, "answers 203.0.113.7, 203.0.113.8; 203.0.113.99 is missing"),
        (
            {"expect": ["203.0.113.7"], "exactly": True},
            "answers 203.0.113.7, 203.0.113.8, which is more than 203.0.113.7",
        ),
        ({"dnssec": True}, "the answer is not verified by DNSSEC"),
    ],
)
def test_another_answer_is_told(name_server: int, more: dict[str, Any], reason: str) -> None:
    result = ask("dns", of(name_server, **more))

    assert (result.state, result.reason) == ("unhealthy", reason)


def test_conditions_speak_of_the_answers(name_server: int) -> None:
    holds = ask(
        "dns",
        of(name_server),
        conditions=["[ANSWERS] contains 203.0.113.8", "[TTL] >= 30", "[DNS_RCODE] == NOERROR"],
    )
    other = ask(
        "dns",
        of(name_server, name="gone.example.com"),
        conditions=["[DNS_RCODE] == any(NXDOMAIN, SERVFAIL)"],
    )

    assert (holds.state, other.state) == ("healthy", "healthy")


def test_what_does_not_fit_a_packet_is_asked_over_tcp(name_server: int) -> None:
    result = ask("dns", of(name_server, name="many.example.com", type="TXT"))

    assert result.state == "healthy"
    assert len(result.values["ANSWERS"]) == 20  # type: ignore[arg-type]  # a list


def test_a_name_server_that_is_silent_away_or_talks_nonsense_is_down() -> None:
    with packets(lambda _: None) as port:
        silent = ask("dns", of(port), timeout_seconds=1)
    with packets(lambda packet: packet[::-1]) as port:
        nonsense = ask("dns", of(port), timeout_seconds=1)
    away = ask("dns", of(free_port()))

    assert (silent.reason, nonsense.reason) == ("no answer within 1 s", "no answer within 1 s")
    assert away.reason == "connection refused"


def test_an_inner_name_server_is_not_asked_where_that_is_closed(name_server: int) -> None:
    outbound.close_outbound()
    outbound.open_outbound(allow_private=False)

    assert "may not be reached" in ask("dns", of(name_server)).reason


def test_without_a_resolver_this_machines_own_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    outbound.close_outbound()
    outbound.open_outbound(allow_private=False)

    result = ask("dns", {"name": "localhost.invalid"}, timeout_seconds=2)

    # Whatever it answers, it was not refused for its inner address.
    assert "may not be reached" not in result.reason
