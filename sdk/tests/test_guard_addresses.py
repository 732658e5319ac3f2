"""The client's true address: what proxies may say of it, and what nobody else may."""

import asyncio

import pytest
from mainstay._internal.guard.addresses import Networks, read_address
from tests.guarding import a_bare_policy, a_limit, a_world

either = pytest.mark.parametrize("kind", ["asgi", "wsgi"])
SPOOFED = "192.0.2.66"


def address_of(kind: str, hops: int, peer: str, **headers: str) -> str:
    client = {"trustedHops": hops, "trustedNetworks": ["10.0.0.0/8", "2001:db8:ffff::/48"]}
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    passage = a_world(kind, a_bare_policy(client=client)).ask(peer=peer, headers=names).passage
    assert passage is not None
    return passage.client_address


@either
@pytest.mark.parametrize(
    ("hops", "peer", "forwarded_for", "address"),
    [
        # Nobody is trusted: what the request says of itself changes nothing.
        (0, "10.0.0.1", SPOOFED, "10.0.0.1"),
        (1, "203.0.113.9", SPOOFED, "203.0.113.9"),
        (2, "203.0.113.9", f"{SPOOFED}, 10.0.0.2", "203.0.113.9"),
        # One proxy: it wrote the rightmost entry, and the client all before it.
        (1, "10.0.0.1", "203.0.113.9", "203.0.113.9"),
        (1, "10.0.0.1", f"{SPOOFED}, 203.0.113.9", "203.0.113.9"),
        (1, "10.0.0.1", f"{SPOOFED},{SPOOFED},10.9.9.9 , 203.0.113.9 ", "203.0.113.9"),
        # Two proxies: the second from the right, whatever network it is in.
        (2, "10.0.0.1", f"{SPOOFED}, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        (2, "10.0.0.1", f"{SPOOFED}, 10.5.5.5, 10.0.0.2", "10.5.5.5"),
        # Fewer entries than proxies: the leftmost.
        (3, "10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),
        # A proxy that says nothing is the client.
        (1, "10.0.0.1", "", "10.0.0.1"),
        # Loopback and a Unix socket are proxies too, once any are counted.
        (1, "127.0.0.1", "203.0.113.9", "203.0.113.9"),
        (1, "::1", "203.0.113.9", "203.0.113.9"),
        (1, "", "203.0.113.9", "203.0.113.9"),
        (1, "::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        (1, "2001:db8:ffff::1", "2001:db8::7", "2001:db8::7"),
        # All the ways to write one address.
        (1, "10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        (1, "10.0.0.1", "[2001:DB8:0::7]:4711", "2001:db8::7"),
        (1, "10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        (1, "10.0.0.1", "fe80::1%eth0", "fe80::1"),
        # Whom a proxy cannot name is nobody, and never the proxy itself.
        (1, "10.0.0.1", "unknown", ""),
        (1, "10.0.0.1", f"{SPOOFED},", ""),
    ],
)
def test_spoofed_entries_change_nothing(
    kind: str, hops: int, peer: str, forwarded_for: str, address: str
) -> None:
    headers = {"X_Forwarded_For": forwarded_for} if forwarded_for else {}
    assert address_of(kind, hops, peer, **headers) == address


@either
@pytest.mark.parametrize(
    ("hops", "forwarded", "address"),
    [
        (1, "for=203.0.113.9", "203.0.113.9"),
        (1, f"for={SPOOFED}, for=203.0.113.9;proto=https;by=10.0.0.1", "203.0.113.9"),
        (2, f'for={SPOOFED}, For="[2001:db8::7]:80";host=a, for=10.0.0.2', "2001:db8::7"),
        (1, f'for="{SPOOFED}, for=9.9.9.9", for=203.0.113.9', "203.0.113.9"),
        (1, f'host="a;for={SPOOFED}";for=203.0.113.9', "203.0.113.9"),
        (1, "proto=https", ""),
        (1, "for=_hidden", ""),
    ],
)
def test_the_standard_header_is_read_as_well(
    kind: str, hops: int, forwarded: str, address: str
) -> None:
    assert address_of(kind, hops, "10.0.0.1", Forwarded=forwarded) == address


def test_several_header_lines_are_one_list() -> None:
    client = {"trustedHops": 2, "trustedNetworks": ["10.0.0.0/8"]}
    world = a_world("asgi", a_bare_policy(client=client))
    ask = world.guard

    async def app(scope: object, receive: object, send: object) -> None:
        world.note()

    ask.app = app
    lines = [(b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-for", b"10.0.0.2")]
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": lines,
        "client": ("10.0.0.1", 1),
    }
    asyncio.run(ask(scope, None, None))

    assert world.passages[0].client_address == "203.0.113.9"


@either
def test_a_thousand_addresses_of_one_network_share_one_bucket(kind: str) -> None:
    client = {"trustedHops": 1, "ipv6PrefixLength": 56}
    world = a_world(kind, a_bare_policy(client=client, limits=a_limit(quota=999)))
    names = [f"2001:db8:0:1{n % 256:02x}::{n:x}" for n in range(1_000)]

    answers = [
        world.ask(peer="127.0.0.1", headers={"X-Forwarded-For": name}).status for name in names
    ]

    assert answers == [200] * 999 + [429]


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("203.0.113.0/24", "203.0.113.255", "203.0.114.0"),
        ("203.0.113.7", "203.0.113.7", "203.0.113.8"),
        ("203.0.113.7/24", "203.0.113.200", "203.0.112.7"),
        ("0.0.0.0/0", "8.8.8.8", "2001:db8::1"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
        ("::/0", "2001:db8::1", "8.8.8.8"),
        ("::ffff:203.0.113.0/120", "203.0.113.9", "203.0.114.9"),
        ("203.0.113.0/24", "::ffff:203.0.113.9", "::203.0.113.9"),
    ],
)
def test_a_network_holds_its_addresses_and_no_others(
    network: str, inside: str, outside: str
) -> None:
    networks = Networks([(network, True)])

    assert read_address(inside) in networks
    assert read_address(outside) not in networks
    assert read_address("no address") not in networks
