"""Label sets have the fingerprints that Alertmanager gives them."""

import pytest
from mainstay_server.kernel.labels import fingerprint


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, "cbf29ce484222325"),
        ({"alertname": "Down"}, "6accfd3d0992a914"),
        ({"alertname": "Down", "wo": "Zürich"}, "995be2384eece48b"),
    ],
)
def test_a_label_set_has_the_fingerprint_of_alertmanager(
    labels: dict[str, str], expected: str
) -> None:
    assert fingerprint(labels) == expected


def test_the_order_of_labels_does_not_matter() -> None:
    assert fingerprint({"a": "1", "b": "2"}) == fingerprint({"b": "2", "a": "1"})


def test_a_label_and_its_value_cannot_be_mixed_up() -> None:
    assert fingerprint({"ab": "c"}) != fingerprint({"a": "bc"})
