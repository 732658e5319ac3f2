"""Keys can be told from words, cannot be guessed, and leave nothing behind that opens anything."""

import re
from base64 import b64decode

import pytest
from mainstay_server.areas.api_keys.service import minting

pytestmark = pytest.mark.usefixtures("database")

GOLDEN = "mst_production_api_rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr3wlnJl"
PEPPER = b64decode("c2l4dGVlbiBieXRlcyBvZiBwZXBwZXIsIGRvdWJsZWQ=")
DIGEST = "aada29aef700e43c5e5e839ca583dd712496e4e8205e7aeb5ed8af7f75e9179e"


def test_a_key_is_what_leak_scanners_search_for_and_tells_its_environment() -> None:
    key = minting.mint("production", "project").key

    assert re.fullmatch(r"mst_production_api_[0-9A-Za-z]{32}[0-9A-Za-z]{6}", key)
    assert re.search(minting.SCANNER_PATTERN, f'TOKEN="{key}"')
    assert minting.is_well_formed(key)


@pytest.mark.parametrize(
    ("environment", "slug"),
    [
        ("production", "production"),
        ("Feature/Login-2", "featurelogin2"),
        ("a" * 64, "a" * 20),
        ("производство", "instance"),
    ],
)
def test_any_environment_has_a_beginning(environment: str, slug: str) -> None:
    minted = minting.mint(environment, "project")

    assert minted.prefix == f"mst_{slug}_api_"
    assert minting.is_well_formed(minted.key)


def test_no_two_keys_are_alike_and_each_has_enough_randomness() -> None:
    randoms = {minting.mint("production", "project").key[-38:-6] for _ in range(500)}

    assert len(randoms) == 500
    assert all(len(set(column)) > 40 for column in zip(*randoms, strict=True)), "of 62 digits"


def test_every_single_mistyped_character_is_noticed() -> None:
    for position in range(len(GOLDEN)):
        wrong = "x" if GOLDEN[position] != "x" else "y"
        assert not minting.is_well_formed(GOLDEN[:position] + wrong + GOLDEN[position + 1 :])
    assert minting.is_well_formed(GOLDEN)


@pytest.mark.parametrize("text", ["", "mst_", GOLDEN[:-1], GOLDEN + "0", f" {GOLDEN}", "é" * 57])
def test_other_texts_are_no_keys(text: str) -> None:
    assert not minting.is_well_formed(text)


def test_the_digest_is_that_of_the_golden_policy() -> None:
    assert minting.digest_of(GOLDEN, PEPPER) == DIGEST


@pytest.mark.parametrize("pepper", [b"", b"short", b"x" * 64, b"longer than a block" * 9])
def test_the_prepared_digest_is_the_same_for_every_pepper(pepper: bytes) -> None:
    digester = minting.Digester(pepper)
    for key in (GOLDEN, "", "another", GOLDEN):
        assert digester.digest_of(key) == minting.digest_of(key, pepper)


def test_one_key_has_another_digest_in_every_project_and_installation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = minting.pepper_of("one")
    assert here == minting.pepper_of("one")
    assert here != minting.pepper_of("other")
    assert b64decode(minting.told_pepper("one")) == here
    assert minting.fingerprint_of(GOLDEN) != minting.digest_of(GOLDEN, here)

    monkeypatch.setattr(minting, "secret_key", lambda: b"the key of another server, as long")

    assert minting.pepper_of("one") != here
