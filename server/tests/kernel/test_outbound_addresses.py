"""Which addresses are open, closed, and closed for good."""

import ipaddress

import pytest
from mainstay_server.kernel.outbound import addresses

METADATA = [
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "0.0.0.0",  # noqa: S104  nothing is bound to it
    "::",
    "fe80::1",
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "2001:4860::5efe:169.254.169.254",
]
PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.31.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "::1",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "2002:a00:1::1",
    "100::1",
]
PUBLIC = ["93.184.215.14", "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("text", METADATA)
@pytest.mark.parametrize("allow_private", [True, False])
def test_metadata_addresses_are_closed_whatever_the_setting(
    text: str, *, allow_private: bool
) -> None:
    address = ipaddress.ip_address(text)
    assert addresses.refusal_of(address, allow_private=allow_private) is not None


@pytest.mark.parametrize("text", PRIVATE)
def test_private_addresses_need_the_setting(text: str) -> None:
    address = ipaddress.ip_address(text)
    assert "MAINSTAY_OUTBOUND_ALLOW_PRIVATE" in str(
        addresses.refusal_of(address, allow_private=False)
    )
    assert addresses.refusal_of(address, allow_private=True) is None


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_open(text: str) -> None:
    assert addresses.refusal_of(ipaddress.ip_address(text), allow_private=False) is None
