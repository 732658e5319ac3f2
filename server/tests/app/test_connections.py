"""How many connections there may be, and how many of one address."""

import resource

import pytest
from mainstay_server.app.connections import Crowd, Room, allow_files, most_connections
from mainstay_server.kernel.settings import UnsafeSetting


def test_one_address_gets_a_quarter_unless_it_is_a_proxy() -> None:
    crowd = Crowd(most=8, proxies="10.0.0.0/8", most_arriving_bytes=1)

    def enter(host: str) -> Room:
        crowd.connections.add(object())  # type: ignore[arg-type]  # only counted
        return crowd.enter(host)

    assert [enter("192.0.2.1"), enter("192.0.2.1")] == [Room.FREE, Room.FREE]
    assert enter("192.0.2.1") is Room.FULL
    assert [enter("10.1.1.1") for _ in range(3)] == [Room.FREE] * 3
    crowd.leave("192.0.2.1")
    crowd.leave("192.0.2.1")
    crowd.connections.clear()
    assert enter("192.0.2.1") is Room.FREE


def test_the_addresses_of_one_ipv6_network_are_one() -> None:
    crowd = Crowd(most=8, proxies="", most_arriving_bytes=1)
    crowd.connections.add(object())  # type: ignore[arg-type]  # only counted

    assert crowd.enter("2001:db8::1") is Room.FREE
    assert crowd.enter("2001:db8::2") is Room.FREE
    assert crowd.enter("2001:db8::3") is Room.FULL
    assert crowd.enter("2001:db8:0:1::3") is Room.FREE
    assert [crowd.enter(f"::ffff:192.0.2.{n}") for n in range(4)] == [Room.FREE] * 4


def test_the_bound_follows_the_open_files() -> None:
    assert most_connections(0, files=1024) == 731
    assert most_connections(0, files=20_000) == 17_097
    assert most_connections(0, files=1 << 20) == 20_000
    assert most_connections(50_000, files=1 << 20) == 50_000
    with pytest.raises(UnsafeSetting, match=r"MAINSTAY_MAX_CONNECTIONS.* which is 731;"):
        most_connections(1000, files=1024)


def test_as_many_files_may_be_opened_as_the_hard_limit_says() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, hard), hard))
    try:
        assert allow_files() == min(hard, 1 << 20)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(hard, 1 << 20), hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
