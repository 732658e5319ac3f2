"""Which addresses a call may reach: the rules against requests forged through our server."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address

# Addresses that hand out a machine's own credentials or stand for "this host" in disguise. No
# setting opens them, for nothing that is watched or notified lives there.
NEVER = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # "this network": Linux connects 0.0.0.0 to loopback
        "::/128",
        "169.254.0.0/16",  # link-local: 169.254.169.254 (AWS, Azure, Google…), 169.254.170.2 (ECS)
        "fe80::/10",
        "fd00:ec2::/32",  # AWS metadata, name and identity services over IPv6
        "fd20:ce::254/128",  # Google's metadata server over IPv6
        "100.100.100.200/32",  # Alibaba's metadata server
        "168.63.129.16/32",  # Azure's WireServer, inside a public range
        "192.0.0.192/32",  # Oracle's classic metadata server
    )
)
NEVER_BY_NAME = frozenset({"metadata.google.internal", "metadata.goog", "instance-data"})

# What is not the public internet. `is_global` knows most of it; what Python 3.11 does not know or
# changed its mind about is listed, after the IANA special-purpose registries.
PRIVATE_V4 = tuple(
    IPv4Network(text)
    for text in ("100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4")
)
GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")
PRIVATE_V6 = tuple(
    IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)

NAT64 = IPv6Network("64:ff9b::/96")
NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
COMPATIBLE = IPv6Network("::/96")
ISATAP_MARKS = (0x00005EFE, 0x02005EFE)


def refusal_of(address: Address, *, allow_private: bool) -> str | None:
    """Return why the address may not be reached, or None when it may.

    An IPv6 address that carries an IPv4 address (mapped, compatible, 6to4, Teredo, NAT64, ISATAP)
    is judged by what it carries as well, because a gateway would deliver it there.
    """
    for carried in (address, *carried_by(address)):
        if any(carried in network for network in NEVER):
            return "it is a cloud metadata, link-local or unspecified address, which is never open"
    if allow_private or not _is_private(address):
        return None
    return (
        "it is a private or reserved address; "
        "set MAINSTAY_OUTBOUND_ALLOW_PRIVATE=true if it should be reachable"
    )


def _is_private(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return (
            not address.is_global
            or address.is_multicast
            or any(address in network for network in PRIVATE_V4)
        )
    if address.ipv4_mapped is not None:
        return _is_private(address.ipv4_mapped)
    if address in NAT64:
        return any(_is_private(carried) for carried in carried_by(address))
    if address.sixtofour is not None:
        return _is_private(address.sixtofour)
    return address not in GLOBAL_UNICAST_V6 or any(address in network for network in PRIVATE_V6)


def carried_by(address: Address) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses that an IPv6 address carries inside."""
    if isinstance(address, IPv4Address):
        return ()
    last = int(address) & 0xFFFFFFFF
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    # ::1 would read as the compatible form of 0.0.0.1, but it is loopback.
    compatible = address in COMPATIBLE and not address.is_loopback
    if address in NAT64 or address in NAT64_LOCAL or compatible:
        found.append(IPv4Address(last))
    if (int(address) >> 32) & 0xFFFFFFFF in ISATAP_MARKS:
        found.append(IPv4Address(last))
    return tuple(carried for carried in found if carried is not None)


def parse(text: str) -> Address | None:
    """Return the address when the text is one in its usual form, else None.

    Unusual forms (`127.1`, `0x7f000001`) are left to the resolver; its result is judged like any.
    """
    try:
        return ip_address(text)
    except ValueError:
        return None


def is_forbidden_name(host: str) -> bool:
    """Tell whether the name is one of a cloud's metadata service, wherever it points."""
    return host.rstrip(".").lower() in NEVER_BY_NAME
