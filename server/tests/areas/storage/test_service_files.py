"""Lists and folders are those of a slow and simple reader, whatever the keys are."""

import random
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainstay_server.areas.storage.service import files, keys
from mainstay_server.kernel.problems import Invalid
from sqlalchemy.orm import Session
from tests.areas.storage.test_service_links import a_file
from tests.areas.storage.test_service_uses import make_bucket
from tests.databases import on_both_stores

LETTERS = "aAbz-. 0~/éÜ日😀\U0010ffff"


def some_keys(count: int) -> list[str]:
    dice = random.Random(20261121)
    found: set[str] = set()
    while len(found) < count:
        text = "".join(dice.choices(LETTERS, k=dice.randrange(1, 9)))
        try:
            found.add(keys.clean_key(text))
        except Invalid:
            continue
    return sorted(found)


@on_both_stores
def test_pages_of_folders_show_each_file_and_folder_once_and_in_order(session: Session) -> None:
    bucket = make_bucket(session)
    there = some_keys(400)
    for key in there:
        a_file(session, bucket, key)

    def browsed(prefix: str, limit: int) -> tuple[list[str], list[str]]:
        folders: list[str] = []
        names: list[str] = []
        cursor = ""
        for _ in range(1000):
            page = files.browse(session, bucket, prefix=prefix, limit=limit, cursor=cursor)
            assert len(page.folders) + len(page.files) <= limit
            folders += [folder.prefix for folder in page.folders]
            names += [file.key for file in page.files]
            if page.next_cursor is None:
                return folders, names
            cursor = page.next_cursor
        raise AssertionError("the pages do not end")

    for prefix in ("", "a", "é/", "A/", "z", "nothing/"):
        below = [key for key in there if key.startswith(prefix)]
        inside = [(key, key[len(prefix) :]) for key in below]
        expected_folders = sorted(
            {prefix + rest.partition("/")[0] + "/" for _, rest in inside if "/" in rest}
        )
        expected_files = [key for key, rest in inside if "/" not in rest]
        for limit in (1, 7, 200):
            assert browsed(prefix, limit) == (expected_folders, expected_files), (prefix, limit)
        listed = files.list_files(session, bucket, prefix=prefix, search="", limit=200, cursor="")
        assert [file.key for file in listed.items] == below[:200]


@given(st.text(min_size=1, max_size=5), st.text(max_size=5))
def test_what_begins_so_lies_between_a_prefix_and_its_end(prefix: str, rest: str) -> None:
    end = keys.after_all_with(prefix)
    if end is not None:
        assert prefix <= prefix + rest < end
    if end is not None and (rest >= end or rest < prefix):
        assert not rest.startswith(prefix)


@given(st.text(max_size=40))
def test_a_clean_key_stays_as_it_is_and_never_climbs(text: str) -> None:
    try:
        key = keys.clean_key(text)
    except Invalid:
        return
    assert keys.clean_key(key) == key == unicodedata.normalize("NFC", text)
    assert not {"", ".", ".."} & set(key.split("/"))
    owners = keys.owners_of(key)
    assert owners[0] == ""
    assert all(key.startswith(f"{owner}/") for owner in owners[1:])
    assert len(owners) <= 4


@pytest.mark.parametrize(
    ("given", "clean"),
    [
        ("", "application/octet-stream"),
        (" Image/PNG ", "image/png"),
        ("text/html; Charset=UTF-8", "text/html; Charset=UTF-8"),
        ("application/vnd.ms-excel", "application/vnd.ms-excel"),
    ],
)
def test_content_types_have_one_form(given: str, clean: str) -> None:
    assert keys.clean_content_type(given) == clean


@pytest.mark.parametrize("wrong", ["text", "text/", "/html", "a/b/c", "text/html\r\nx: y", "ü/x"])
def test_what_is_no_content_type_is_refused(wrong: str) -> None:
    with pytest.raises(Invalid):
        keys.clean_content_type(wrong)
