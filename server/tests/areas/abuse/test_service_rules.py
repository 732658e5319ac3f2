from typing import Any

import pytest
from mainstay_server.areas.abuse.service.rules import DEFAULTS, RULES, broken_by, fewest_refused
from tests.areas.abuse.worlds import conduct


@pytest.mark.parametrize(
    ("counts", "rule"),
    [
        ({"credentials": 20, "unauthorized": 20}, "key_spraying"),
        ({"credentials": 19, "unauthorized": 19}, None),
        ({"paths": ("/.env", "/wp-login.php", "/.git/config"), "not_found": 3}, "scanner_paths"),
        ({"paths": ("/.env", "/help", "/about"), "not_found": 3}, None),
        ({"forbidden": 50, "key_ids": ("k",)}, "scope_probing"),
        ({"forbidden": 50}, None),
        ({"unauthorized": 150, "forbidden": 50}, "failed_authentication"),
        ({"not_found": 200, "routes": 40}, "not_found_burst"),
        ({"not_found": 5_000, "routes": 1}, None),
        ({"limited": 500}, "limit_evasion"),
        ({"limited": 499}, None),
        ({}, None),
    ],
)
def test_each_rule_looks_for_what_it_says(counts: dict[str, Any], rule: str | None) -> None:
    broken = broken_by(conduct("i", **counts), {})
    assert (broken.rule.name if broken else None) == rule


def test_the_gravest_rule_is_the_reason_and_tells_how_far() -> None:
    broken = broken_by(conduct("i", credentials=31, unauthorized=900), {})
    assert broken is not None
    assert broken.words == "31 different keys were refused"


def test_a_threshold_is_changed_and_switched_off() -> None:
    sprayed = conduct("i", credentials=25)
    assert broken_by(sprayed, {"key_spraying": 30}) is None
    assert broken_by(sprayed, {"key_spraying": 0}) is None
    assert broken_by(conduct("i", credentials=5), {"key_spraying": 5}) is not None


def test_a_broken_link_and_a_busy_office_are_no_abuse() -> None:
    benign: list[dict[str, Any]] = [
        {"total": 50_000},
        {"total": 9_000, "not_found": 3_000, "routes": 2, "paths": ("/favicon.ico", "/a")},
        {"total": 4_000, "unauthorized": 120, "credentials": 2},
        {"total": 90_000, "limited": 300, "key_ids": ("k",)},
        {"total": 500, "forbidden": 20, "key_ids": ("k",)},
        {"total": 500, "not_found": 150, "routes": 90},
    ]
    assert [broken_by(conduct("i", **facts), {}) for facts in benign] == [None] * len(benign)


def test_no_address_is_overlooked_that_could_have_broken_a_rule() -> None:
    assert fewest_refused([{}]) == min(DEFAULTS[rule.name] for rule in RULES)
    assert fewest_refused([{}, {"key_spraying": 2}]) == 2
