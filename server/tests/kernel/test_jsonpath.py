"""JSONPath: plain paths, those of the standard, and what is refused."""

import pytest
from mainstay_server.kernel import jsonpath

DOCUMENT = {"token": "t-1", "items": [{"id": 3}, {"id": 4}], "a b": {"c-d": [[1, 2]]}}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", [DOCUMENT]),
        ("$.token", ["t-1"]),
        ("$.items[0].id", [3]),
        ("$.items[-1].id", [4]),
        ("$['a b'].c-d[0][1]", [2]),
        ("$.items[*].id", [3, 4]),
        ("$..id", [3, 4]),
        ("$.items[?@.id > 3].id", [4]),
        ("$.items[0:1].id", [3]),
        ("$.nowhere", []),
        ("$.items[7]", []),
        ("$.token[0]", []),
        ("$.token.length", []),
    ],
)
def test_a_path_finds_what_lies_there(path: str, found: list[object]) -> None:
    assert jsonpath.parse(path).find(DOCUMENT) == found


def test_a_plain_path_leads_to_one_place() -> None:
    assert jsonpath.parse("$.items[0].id").is_single
    assert not jsonpath.parse("$.items[*].id").is_single


@pytest.mark.parametrize(
    "path", ["token", "$.", "$[", "$.items[?match(@.id, '(a+)+')]", "$." + "a" * 500]
)
def test_what_is_no_path_or_could_run_for_ever_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"path|JSONPath"):
        jsonpath.parse(path)


def test_at_most_a_thousand_places_are_given() -> None:
    assert len(jsonpath.parse("$..*").find([list(range(2_000))])) == 1_000
