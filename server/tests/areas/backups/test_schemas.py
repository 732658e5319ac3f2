"""What a fingerprint depends on, and how two of them are compared."""

import pytest
from mainstay_server.areas.backups.providers import ENGINES
from mainstay_server.areas.backups.schemas import (
    Difference,
    Fingerprint,
    Fingerprints,
    RowSum,
    What,
    compare,
    printable,
)
from mainstay_server.kernel.problems import Invalid


def summed(*rows: bytes, shape: str = "") -> Fingerprint:
    total = RowSum()
    for row in rows:
        total.add(row)
    return total.named("t", shape)


def test_the_order_of_rows_does_not_matter_and_all_else_does() -> None:
    assert summed(b"a", b"b") == summed(b"b", b"a")
    different = [
        *(summed(b"a", b"b"), summed(b"a", b"a"), summed(b"b", b"b"), summed(b"ab"), summed()),
        *(summed(b"a"), summed(b"a", b"b", shape="id int"), summed(b"a", b"a", b"b", b"b")),
    ]
    assert len({each.digest for each in different}) == len(different)


def test_every_difference_is_named_once_in_order() -> None:
    before: Fingerprints = (
        *(Fingerprint("content", 2, "aa"), Fingerprint("gone", 3, "bb")),
        *(Fingerprint("rows", 4, "cc"), Fingerprint("same", 1, "dd")),
    )
    after: Fingerprints = (
        *(Fingerprint("content", 2, "ab"), Fingerprint("new", 1, "ee")),
        *(Fingerprint("rows", 5, "cd"), Fingerprint("same", 1, "dd")),
    )

    assert compare(before, after) == [
        Difference(name="content", what=What.CONTENT, rows=(2, 2)),
        Difference(name="gone", what=What.MISSING, rows=(3, 0)),
        Difference(name="new", what=What.EXTRA, rows=(0, 1)),
        Difference(name="rows", what=What.ROWS, rows=(4, 5)),
    ]
    assert compare(before, before) == []


def test_any_name_of_a_file_can_be_written_down() -> None:
    assert printable(b"a\xff") == "a\\xff"
    assert printable("ü") == "ü"


@pytest.mark.parametrize("engine", ["postgresql", "mariadb", "redis"])
def test_a_password_that_was_not_written_for_a_url_is_told_by_no_piece_of_it(engine: str) -> None:
    scheme = {"mariadb": "mysql"}.get(engine, engine)
    with pytest.raises(Invalid, match="%40") as refusal:
        ENGINES[engine].checked({"url": f"{scheme}://app:won@ders@db.example:5000/shop"})
    assert "ders" not in refusal.value.detail
