from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainstay_server.kernel.networks import Networks


def test_addresses_are_found_in_networks_of_both_versions() -> None:
    networks = Networks(["203.0.113.0/24", "2001:db8::/32", "::ffff:10.0.0.0/104", "192.0.2.1"])
    inside = ["203.0.113.255", "::ffff:203.0.113.1", "2001:db8::1", "10.255.0.1", "192.0.2.1"]
    outside = ["203.0.114.0", "2001:db9::1", "11.0.0.1", "192.0.2.2", "", "localhost", "1.2.3"]
    assert [address in networks for address in inside] == [True] * len(inside)
    assert [address in networks for address in outside] == [False] * len(outside)
    assert not Networks([])


def test_a_network_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="network"):
        Networks(["example.com"])


@given(st.lists(st.ip_addresses(v=4), min_size=1), st.integers(0, 32), st.ip_addresses(v=4))
def test_it_says_what_the_standard_library_says_one_by_one(
    bases: list[object], length: int, address: object
) -> None:
    texts = [f"{base}/{length}" for base in bases]
    slowly = any(ip_address(str(address)) in ip_network(text, strict=False) for text in texts)
    assert (str(address) in Networks(texts)) == slowly
