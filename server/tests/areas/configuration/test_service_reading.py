"""Reading: plain values with their lines, and nothing that grows in secret."""

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainstay_server.areas.configuration.service.exporting import dumped, escaped
from mainstay_server.areas.configuration.service.reading import MOST_BYTES, read_document
from mainstay_server.kernel.problems import Invalid, Problem, TooLarge

PRINTABLE = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x7f\x85\u2028\u2029\ufeff"),
    max_size=30,
).filter(lambda text: text.isprintable())
STRANGE = "no yes on null ~ 12:30 1e3 0o17 0x1F 1_000 - 1.5 7 true True = << .inf ${HOME} $${HOME}"
WORDS = st.sampled_from([*STRANGE.split(), "", "${A:-b}", "- a", "a: b", "# no"])
TEXTS = PRINTABLE | WORDS
VALUES = st.recursive(
    TEXTS | st.integers(-(10**15), 10**15) | st.booleans() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(PRINTABLE.filter(lambda key: key not in ("", "<<")), inner, max_size=4)
    ),
    max_leaves=20,
)
KEYS = st.text(string.ascii_letters, min_size=1, max_size=8)


def refusal(text: str, **variables: str) -> Problem:
    with pytest.raises(Problem) as refused:
        read_document(text, variables)
    return refused.value


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=5))
def test_what_is_written_is_read_back_as_it_was(tree: dict[str, Any]) -> None:
    assert read_document(dumped(escaped(tree)), {}).tree == tree


@given(TEXTS, TEXTS)
def test_a_variable_is_one_text_whatever_is_in_it(value: str, other: str) -> None:
    read = read_document("a: x ${ONE:-} y\nb: '${TWO:-}'\nc: 1\n", {"ONE": value, "TWO": other})
    assert read.tree == {"a": f"x {value} y", "b": other, "c": 1}
    assert read.variables == {("a",): "x ${ONE:-} y", ("b",): "${TWO:-}"}


def test_every_value_knows_its_line() -> None:
    read = read_document(
        "version: 1\n\nthings:\n  - name: a\n    list:\n      - 1\n      - 2\n", {}
    )
    assert read.line_of(("things",)) == 3
    assert read.line_of(("things", 0, "name")) == 4
    assert read.line_of(("things", 0, "list", 1)) == 7
    assert read.line_of(("things", 0, "nothing", "here")) == 4


def test_words_mean_what_yaml_1_2_says() -> None:
    read = read_document("a: no\nb: 12:30\nc: 017\nd: true\ne: ~\nf: 1.5\ng: -3\nh: '1'\n", {})
    assert read.tree == {
        "a": "no",
        "b": "12:30",
        "c": "017",
        "d": True,
        "e": None,
        "f": 1.5,
        "g": -3,
        "h": "1",
    }


def test_anchors_and_merges_save_repeating() -> None:
    read = read_document(
        "x-all: &all {every: 60, tags: [a]}\nthings:\n  - <<: *all\n    every: 30\n  - *all\n", {}
    )
    assert read.tree["things"] == [{"every": 30, "tags": ["a"]}, {"every": 60, "tags": ["a"]}]


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("a: 1\n\tb: 2\n", 2, "tab"),
        ("a: 1\nb: 2\na: 3\n", 3, "'a' is there twice, first in line 1"),
        ("a: 1\nb: !!python/object/apply:os.system [id]\n", 2, "the tag"),
        ("a:\n  - 1\n b: 2\n", 3, ""),
        ('a: 1\nb: "\x01"\n', 2, "U+0001"),
        ("a: 1\nb: \ud800\n", 2, "half of a character"),
        ("--- {a: 1}\n--- {a: 2}\n", 2, "one file is one document"),
        ("- 1\n", 1, "is a mapping"),
        ("a: &x [*x]\n", 1, "*x names nothing"),
        ("a: 1\n<<: 5\n", 2, "<< takes a mapping"),
        ("? [1, 2]\n: 3\n", 1, "a key is a plain word"),
        ("[" * 5_000, 1, "deep"),
        ("{a: " * 2_000, 1, "deep"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_its_line(text: str, line: int, why: str) -> None:
    refused = refusal(text)
    assert isinstance(refused, Invalid)
    assert refused.code == "unreadable-document"
    assert refused.errors[0]["line"] == line
    assert why in refused.detail


def test_a_bomb_of_aliases_is_counted_and_not_made() -> None:
    bomb = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )
    assert isinstance(refusal(bomb), TooLarge)


def test_a_document_over_its_size_is_refused() -> None:
    assert isinstance(refusal("a: " + "x" * MOST_BYTES), TooLarge)


def test_variables_without_a_value_are_all_named_with_their_lines() -> None:
    refused = refusal("a: ${ONE}\nb: ${TWO}\nc: ${THREE:-kept}\n# ${FOUR}\n", ONE="")
    assert refused.code == "variables-unset"
    assert [(one["field"], one["line"]) for one in refused.errors] == [("ONE", 1), ("TWO", 2)]
    assert read_document("a: ${ONE:-kept}", {"ONE": ""}).tree == {"a": "kept"}
