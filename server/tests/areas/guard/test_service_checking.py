import pytest
from mainstay_server.areas.guard.service.checking import (
    UNREADABLE,
    clean_address,
    clean_path,
    client_address,
    credential_digest,
    forwarded_addresses,
    is_ambiguous,
)

PEER = "10.0.0.5"


@pytest.mark.parametrize(
    ("spelled", "path"),
    [
        ("/api/insights", "/api/insights"),
        ("/api/insights?x=1", "/api/insights"),
        ("//api//insights", "/api/insights"),
        ("/docs/../api/./insights", "/api/insights"),
        ("/%61pi/insights", "/api/insights"),
        ("/api/%2e%2e/docs", "/docs"),
        ("/..", "/"),
        ("/api/", "/api/"),
        ("/api//", "/api/"),
        ("api", "/api"),
        ("", "/"),
        ("/a/b/..", "/a/"),
        ("/%2561pi", "/%61pi"),
    ],
)
def test_a_path_is_the_same_however_it_is_spelled(spelled: str, path: str) -> None:
    assert clean_path(spelled) == path


@pytest.mark.parametrize(
    ("given", "clean"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7:4711 ", "203.0.113.7"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ('"[2001:db8::1]"', "2001:db8::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::1"),
        ("unknown", ""),
        ("", ""),
    ],
)
def test_an_address_has_one_form(given: str, clean: str) -> None:
    assert clean_address(given) == clean


@pytest.mark.parametrize(
    ("hops", "forwarded", "client"),
    [
        (0, "203.0.113.9", "203.0.113.9"),
        (1, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (2, "6.6.6.6, 203.0.113.9, 10.0.0.7", "203.0.113.9"),
        (3, "203.0.113.9, 10.0.0.7", "203.0.113.9"),
        (1, "6.6.6.6, garbage", UNREADABLE),
    ],
)
def test_the_client_stands_as_many_from_the_right_as_there_are_proxies(
    hops: int, forwarded: str, client: str
) -> None:
    found = client_address(
        PEER, forwarded_for=forwarded.split(","), client={"trustedHops": hops}, trusted=True
    )
    assert found == client


@pytest.mark.parametrize(
    ("target", "ambiguous"),
    [
        ("/api/insights?page=../2", False),
        ("/a/b.c/...", False),
        ("/admin/../public", True),
        ("/admin/..%2fpublic/x", True),
        ("/admin/%2e%2e/public/x", True),
        ("/a/./b", True),
        ("/a\\..\\b", True),
        ("/public/" + "a" * 2000, True),
    ],
)
def test_a_path_that_an_app_may_understand_otherwise_is_told(target: str, ambiguous: bool) -> None:  # noqa: FBT001 - a column
    assert is_ambiguous(target) is ambiguous


def test_the_entries_of_either_forwarded_header_are_read_from_left_to_right() -> None:
    assert forwarded_addresses("203.0.113.9, 10.0.0.1", "for=6.6.6.6") == [
        "203.0.113.9",
        " 10.0.0.1",
    ]
    rfc7239 = 'for=203.0.113.9;proto=https, For="[2001:db8::1]:4711", proto=http'
    assert forwarded_addresses("", rfc7239) == ["203.0.113.9", '"[2001:db8::1]:4711"', ""]
    assert list(forwarded_addresses("", "")) == []


def test_a_peer_that_is_no_proxy_is_the_client_whatever_it_says() -> None:
    found = client_address(PEER, forwarded_for=["203.0.113.9"], client={}, trusted=False)
    assert found == PEER


def test_what_is_told_of_a_refused_key_is_no_key() -> None:
    unknown = "mst_production_api_uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu204RLH"
    assert credential_digest(unknown) == "bbf455de4ffbb6fc"
    assert credential_digest("") == ""
