"""Bodies of strangers: what is refused, how it is said, and that nothing else comes of them."""

import dataclasses
import functools
import json
import time
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Optional
from uuid import UUID

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainstay.validation import Fault, Invalid, Limits, validate, validate_query

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
SMALL = Limits(
    most_bytes=2_000,
    content_types=(JSON, FORM, "application/geo+json"),
    most_depth=3,
    most_values=10,
    most_key_characters=5,
    most_text_characters=20,
)


class Size(Enum):
    S = "s"
    L = "l"


@dataclasses.dataclass
class Line:
    article: int
    amount: int = 1


@dataclasses.dataclass
class Order:
    customer: str
    lines: list[Line]
    size: Size = Size.S
    note: str | None = None

    def __post_init__(self) -> None:
        if not self.lines:
            raise ValueError("An order has at least one line.")


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    name: str
    at: datetime
    lines: list[dict[str, int]] = []


def refused(body: bytes | str, schema: Any = None, *, kind: str = JSON, **options: Any) -> Any:
    """The refusal as its reader sees it."""
    raw = body if isinstance(body, bytes) else body.encode()
    with pytest.raises(Invalid) as caught:
        validate(raw, kind, schema, **options)
    document = json.loads(caught.value.refusal.body())
    assert document["status"] == caught.value.refusal.status
    assert document["type"] == "about:blank"
    assert document["title"]
    return document


def tried(call: Callable[[], Any]) -> tuple[Any, int]:
    """What came of it and 200, or None and the status of the refusal."""
    try:
        return call(), 200
    except Invalid as invalid:
        status: int = json.loads(invalid.refusal.body())["status"]
        return None, status


def faults(document: Any) -> list[tuple[str, str]]:
    return [(one["pointer"], one["detail"]) for one in document["errors"]]


def test_what_is_small_and_well_formed_comes_through_as_it_is() -> None:
    assert validate(b'{"a": [1, 2.5, null, true, "x"]}', JSON) == {"a": [1, 2.5, None, True, "x"]}
    assert validate(b"7", "Application/JSON; Charset=UTF-8") == 7
    assert validate(b'"\\ud83d\\ude00"', JSON) == "😀"
    assert validate(b"{}", "application/geo+json", limits=SMALL) == {}


@pytest.mark.parametrize(
    "kind",
    [
        None, "", "text/plain", "application/jsonx", "application/json; charset=utf-16",
        "application/json, text/plain", "application/json;charset=utf-8;charset=utf-16", FORM,
    ],
)  # fmt: skip
def test_another_content_type_is_refused_and_told_which_is_taken(kind: str | None) -> None:
    with pytest.raises(Invalid) as caught:
        validate(b"{}", kind)
    refusal = caught.value.refusal

    assert (refusal.status, refusal.code) == (415, "content-type-unsupported")
    assert ("accept", JSON) in refusal.all_headers(b"")


def test_a_body_over_the_limit_is_refused_as_the_guard_refuses_it() -> None:
    document = refused(b"[" + b" " * 2_000 + b"]", limits=SMALL)

    assert (document["status"], document["code"]) == (413, "body-too-large")


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        ("", "#", "It is empty."),
        ('{"a": 1,}', "#", "line 1"),
        ("[1] 2", "#", "Extra data"),
        (b'{"a": "\xff"}', "#", "not UTF-8 at byte 7"),
        (b"\xef\xbb\xbf{}", "#", "line 1"),
        ("[NaN]", "#", "NaN is no number"),
        ("[-Infinity]", "#", "-Infinity is no number"),
        ('{"a": {"b": 1e999}}', "#/a/b", "larger than a double"),
        ('{"a": 1, "a": 2}', "#", 'The member "a" comes twice'),
        ('[0, {"x/y": {"b": 1, "b": 1}}]', "#/1/x~1y", 'The member "b" comes twice'),
        ('{"a": 1, "\\u0061": 2}', "#", 'The member "a" comes twice'),
        ('["\\ud800"]', "#/0", "surrogate"),
        ('["\\uD800"]', "#/0", "surrogate"),
        ("[1.0E999]", "#/0", "larger than a double"),
        ("[-1e+400]", "#/0", "larger than a double"),
        ("[" + "9" * 310 + ".0]", "#/0", "larger than a double"),
        ('{"\\udfff": 1}', "#", "surrogate"),
        ("[" + "1" * 20 + "", "#", "line 1"),
    ],
)
def test_what_is_not_well_formed_is_refused_where_it_is_wrong(
    body: str | bytes, pointer: str, detail: str
) -> None:
    document = refused(body)
    ((where, said),) = faults(document)

    assert (document["status"], document["code"]) == (400, "body-malformed")
    assert where == pointer
    assert detail in said


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        ("[[[[]]]]", "#", "more than 3 levels"),
        (json.dumps(list(range(11))), "#", "more than 10 values"),
        ('{"longer": 1}', "#", "more than 5 characters"),
        ('[1, {"longer": "short"}]', "#/1", "more than 5 characters"),
        (json.dumps({"a": ["", "x" * 21]}), "#/a/1", "more than 20 characters"),
        ("1" * 401, "#", "more than 400 digits"),
        ("[1e" + "9" * 401 + "]", "#", "more than 400 digits"),
    ],
)
def test_what_is_more_than_the_limits_is_refused(body: str, pointer: str, detail: str) -> None:
    document = refused(body, limits=SMALL)
    ((where, said),) = faults(document)

    assert (document["status"], document["code"]) == (400, "body-too-complex")
    assert where == pointer
    assert detail in said


def test_brackets_and_commas_inside_of_texts_are_neither_depth_nor_values() -> None:
    text = '[[[["\\"[{,'
    body = json.dumps({"a": text, "b": ",,,,,,,,,,,,\\"})

    assert validate(body.encode(), JSON, limits=SMALL)["a"] == text


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b'"' + b'\\"' * 500_000,
        b'"' * 999_999,
        b"1" * 1_000_000,
        b"]" * 1_000_000,
        b"[" + b"1," * 499_999,
        b"\\" * 1_000_000,
        b"-" * 1_000_000,
        b'{"a":1,' * 140_000,
    ],
    ids=lambda body: repr(body[:8]),
)
def test_a_megabyte_made_to_hurt_costs_little(body: bytes) -> None:
    began = time.process_time()
    refused(body)

    # It takes some 0.02 s; what grew with the square would take hours.
    assert time.process_time() - began < 2


@given(st.binary(max_size=400), st.sampled_from([JSON, FORM, "application/geo+json"]))
def test_random_bytes_come_to_nothing_but_a_value_or_a_refusal(body: bytes, kind: str) -> None:
    for schema in (None, Order, Model, {"type": "object"}):
        _, status = tried(functools.partial(validate, body, kind, schema, limits=SMALL))
        assert status in (200, 400, 413, 415, 422)
    _, status = tried(lambda: validate_query(body, Order, limits=SMALL))
    assert status in (200, 400, 422)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
ORDERS = st.fixed_dictionaries(
    {"customer": st.text() | ANY_JSON, "lines": st.lists(ANY_JSON, max_size=3) | ANY_JSON},
    optional={"size": st.sampled_from(["s", "l", "m"]), "note": ANY_JSON},
)


@given(ANY_JSON | ORDERS)
def test_any_json_is_read_as_it_was_or_refused(value: Any) -> None:
    body = json.dumps(value).encode()
    made, status = tried(lambda: validate(body, JSON))
    assert status == 400 or json.dumps(made) == json.dumps(value)
    for schema in (Order, Model):
        assert tried(functools.partial(validate, body, JSON, schema))[1] in (200, 400, 422)


def test_a_dataclass_is_made_of_what_fits() -> None:
    body = b'{"customer": "acme", "lines": [{"article": 7}], "size": "l"}'

    assert validate(body, JSON, Order) == Order("acme", [Line(7)], Size.L)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("[]", [("#", "It must be an object.")]),
        (
            '{"lines": [{"article": "7"}, {"article": true, "amounts": 1}], "x~y": 1}',
            [
                ("#/customer", "It is missing."),
                ("#/lines/0/article", "It must be a whole number."),
                ("#/lines/1/article", "It must be a whole number."),
                ("#/lines/1/amounts", "Nothing has this name here."),
                ("#/x~0y", "Nothing has this name here."),
            ],
        ),
        (
            '{"customer": "a", "lines": [], "size": "m"}',
            [("#/size", "It must be one of 's', 'l'.")],
        ),
        ('{"customer": "a", "lines": []}', [("#", "An order has at least one line.")]),
        (
            '{"customer": "a", "lines": [{"article": 1}], "note": 1}',
            [("#/note", "It must be str | None.")],
        ),
    ],
)
def test_what_does_not_fit_a_dataclass_is_told_all_at_once(
    body: str, expected: list[tuple[str, str]]
) -> None:
    document = refused(body, Order)

    assert (document["status"], document["code"]) == (422, "body-invalid")
    assert faults(document) == expected


def test_a_dataclass_may_have_every_type_that_json_can_tell() -> None:
    @dataclasses.dataclass
    class Everything:
        at: datetime
        price: Decimal
        id: UUID
        ratio: float
        kind: Literal["a", 1]
        tags: frozenset[str]
        more: dict[str, tuple[int, ...]]
        old: Optional[int]  # noqa: UP045 - the older way to say it
        told: Annotated[bool, "whether"]

    number = "01890a5d-ac96-774b-bcce-b302099a8057"
    body = json.dumps(
        {
            "at": "2026-11-21T03:00:00Z", "price": "7.10", "id": number, "ratio": 1, "kind": 1,
            "tags": ["x", "x"], "more": {"a": [1, 2]}, "old": None, "told": True,
        }
    )  # fmt: skip

    assert validate(body.encode(), JSON, Everything) == Everything(
        datetime(2026, 11, 21, 3, tzinfo=timezone.utc), Decimal("7.10"), UUID(number), 1.0, 1,
        frozenset("x"), {"a": (1, 2)}, None, told=True,
    )  # fmt: skip
    bad = json.dumps({**json.loads(body), "price": "NaN", "ratio": "1", "kind": True, "at": "now"})
    assert [where for where, _ in faults(refused(bad, Everything))] == [
        "#/at", "#/price", "#/ratio", "#/kind",
    ]  # fmt: skip
    huge = json.dumps({**json.loads(body), "ratio": 10**390})
    assert faults(refused(huge, Everything)) == [("#/ratio", "It must be a number.")]


@dataclasses.dataclass
class Left:
    it: "Left | Right | None"


@dataclasses.dataclass
class Right:
    it: "Left | Right | int | None"


def test_alternatives_inside_of_alternatives_cost_no_more_than_their_number() -> None:
    assert validate(b'{"it": {"it": {"it": null}}}', JSON, Left) == Left(Left(Left(None)))
    began = time.process_time()
    document = refused('{"it":' * 31 + '"neither"' + "}" * 31, Left)

    assert document["status"] == 422
    assert time.process_time() - began < 2, "two to the power of thirty tries would take hours"


def test_what_cannot_be_a_schema_is_told_when_the_app_starts() -> None:
    @dataclasses.dataclass
    class Unknown:
        it: complex

    for schema in (7, Unknown):
        with pytest.raises(TypeError):
            validate(b"{}", JSON, schema)
    with pytest.raises(ValueError, match="text/csv"):
        Limits(content_types=("text/csv",))


def test_a_pydantic_model_is_made_and_its_errors_are_told_in_the_same_form() -> None:
    body = b'{"name": "a", "at": "2026-11-21T03:00:00Z"}'

    assert validate(body, JSON, Model).at.year == 2026
    assert validate(b"[1]", JSON, pydantic.TypeAdapter(list[int])) == [1]
    document = refused('{"name": 1, "lines": [{"a/b": "x"}]}', Model)
    assert document["status"] == 422
    assert faults(document) == [
        ("#/name", "Input should be a valid string"),
        ("#/at", "Field required"),
        ("#/lines/0/a~1b", "Input should be a valid integer"),
    ]
    assert "'x'" not in json.dumps(document), "what was sent is not sent back"


def test_a_function_hands_on_what_it_makes_or_says_what_is_wrong() -> None:
    def even(value: Any) -> int:
        if value["n"] % 2:
            raise ValueError("n must be even.")
        return int(value["n"])

    assert validate(b'{"n": 4}', JSON, even) == 4
    assert faults(refused('{"n": 3}', even)) == [("#", "n must be even.")]
    for odd in ("[]", "{}", "7", '{"n": "x"}', '{"n": null}'):
        ((_, detail),) = faults(refused(odd, even))
        assert "form" in detail, "nothing of the app's own error is told"


def test_at_most_twenty_faults_are_told() -> None:
    body = json.dumps({"customer": 1, "lines": [{}] * 4_000})

    assert len(refused(body, Order)["errors"]) == 20
    assert len(refused(json.dumps(["x"] * 9_000), pydantic.TypeAdapter(list[int]))["errors"]) == 20
    schema = {"items": {"type": "integer"}}
    assert len(refused(json.dumps(["x"] * 9_000), schema)["errors"]) == 20


def test_a_json_schema_is_followed() -> None:
    schema = {
        "$defs": {"line": {"type": "object", "required": ["article"]}},
        "properties": {"lines": {"items": {"$ref": "#/$defs/line"}, "uniqueItems": True}},
    }

    assert validate(b'{"lines": [{"article": 1}]}', JSON, schema) == {"lines": [{"article": 1}]}
    document = refused('{"lines": [{}, {}]}', schema)
    assert faults(document) == [
        ("#/lines/0", "'article' is a required property"),
        ("#/lines/1", "'article' is a required property"),
        ("#/lines", "A value comes more than once."),
    ]
    distinct = {"uniqueItems": True}
    assert validate(b'[1, true, "1", [1], [true], {"a": 1}, null]', JSON, distinct)
    assert faults(refused("[1, 1.0]", distinct)) == [("#", "A value comes more than once.")]


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://elsewhere.example/schema.json"},
        {"properties": {"a": {"items": {"$ref": "file:///etc/passwd"}}}},
        {"type": "nothing"},
        {"pattern": "^(a+)+$"},
        {"pattern": "^(?:x|[a-z]*)*$"},
        {"pattern": "("},
        {"patternProperties": {"((a*))+": {}}},
    ],
)
def test_a_json_schema_that_fetches_or_hangs_is_refused_when_the_app_starts(schema: Any) -> None:
    with pytest.raises(ValueError, match=r"document|JSON Schema|repeat|pattern"):
        validate(b"{}", JSON, schema)


def test_a_pattern_looks_at_a_thousand_characters_and_no_more() -> None:
    schema = {
        "pattern": "^[a-z0-9]+(?:-[a-z0-9]+)*$",
        "properties": {"pattern": {"type": "object"}},
    }

    assert validate(b'"a-slug-7"', JSON, schema) == "a-slug-7"
    ((_, detail),) = faults(refused(json.dumps("a" * 1_001), schema))
    assert "1000 characters" in detail


def test_many_values_are_told_apart_in_linear_time() -> None:
    mixed = [[n, str(n)] if n % 2 else {"a": n} for n in range(4_000)]
    limits = Limits(most_values=100_000)
    began = time.process_time()
    validate(json.dumps(mixed).encode(), JSON, {"uniqueItems": True}, limits=limits)

    assert time.process_time() - began < 2


def test_a_form_and_a_query_are_read_like_a_body() -> None:
    @dataclasses.dataclass
    class Page:
        number: int = 1
        exact: bool = False
        q: str = ""

    limits = Limits(content_types=(JSON, FORM), most_values=3)
    assert validate_query("number=2&exact=true&q=a%20b+c", Page) == Page(2, exact=True, q="a b c")
    assert validate(b"number=2", FORM, Page, limits=limits) == Page(2)
    assert validate_query("") == {}
    assert faults(refused("number=x", Page, kind=FORM, limits=limits)) == [
        ("#/number", "It must be a whole number.")
    ]
    for query, code in (
        ("a=1&a=2", "query-malformed"),
        ("a=%ff", "query-malformed"),
        ("a=1&b=2&c=3&d=4", "query-too-complex"),
    ):
        with pytest.raises(Invalid) as caught:
            validate_query(query, limits=limits)
        assert (caught.value.refusal.status, caught.value.refusal.code) == (400, code)
    for odd in ("number=" + "9" * 5_000, "number=nan", "exact=maybe", "number=1_0", "number="):
        with pytest.raises(Invalid):
            validate_query(odd, Page)


def test_a_fault_is_what_its_reader_needs() -> None:
    with pytest.raises(Invalid) as caught:
        validate(b"[]", JSON, Order)

    assert caught.value.refusal.errors == (Fault("It must be an object.", "#"),)
    assert isinstance(caught.value, ValueError)
