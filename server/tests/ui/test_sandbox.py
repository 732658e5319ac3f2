"""Templates of tenants: what they may do works, and all else is refused, quickly."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mainstay_server.kernel.problems import Invalid
from mainstay_server.ui.sandbox import LONGEST_RESULT, part_of_mails, render_untrusted
from markupsafe import Markup

LONG_LIST = ",".join("1" * 300)
DATA: dict[str, Any] = {
    "user": {"name": "<Ann>", "items": [1, 2, 3]},
    "orders": [{"id": 2}, {"id": 1}],
    "n": 3,
    "big": "x" * 60_000,
}


@part_of_mails
def shout(text: str) -> Markup:
    return Markup("<b>{}</b>").format(text)


def rendered(source: str, **more: Any) -> str:
    return render_untrusted(source, {**DATA, **more}, parts={"shout": shout}, field="html")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Hi {{ user.name }}", "Hi &lt;Ann&gt;"),
        ("{{ user.items | join(', ') }}", "1, 2, 3"),
        (
            "{% for o in orders | sort(attribute='id') %}{{ loop.index }}={{ o.id }} {% endfor %}",
            "1=1 2=2 ",
        ),
        ("{% for key, value in user %}{{ key }} {% endfor %}", "name items "),
        ("{{ 1 | round(1000000000, 'ceil') }} {{ n | round(-1000000000) }}", "1.0 0"),
        ("{{ 2.567 | round(1) }} {{ 2.1 | round(0, 'ceil') }} {{ 2.9 | round }}", "2.6 3.0 3.0"),
        ("{{ n * 2 + 1 }} {{ 1234.5 | number(1) }}", "7 1,234.5"),
        ("{% if n > 2 and 'A' in user.name %}yes{% else %}no{% endif %}", "yes"),
        ("{{ missing | default('none') }}", "none"),
        ("{{ 'a' ~ user.name }}", "a&lt;Ann&gt;"),
        ("{{ shout(user.name) ~ '<' }}", "<b>&lt;Ann&gt;</b>&lt;"),
        ("{{ 'a\nb<' | nl2br }}", "a<br>\nb&lt;"),
        ("{{ orders[0].id }}{{ (orders | last)['id'] }}", "21"),
    ],
)
def test_what_mails_need_works(source: str, expected: str) -> None:
    assert rendered(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ user.__class__ }}",
        "{{ shout.__globals__ }}",
        "{{ shout }}",
        "{{ user }}",
        "{{ self }}",
        "{{ self._TemplateReference__context }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ lipsum() }}",
        "{{ range(9) }}",
        "{{ 'x'.upper() }}",
        "{{ user | attr('__class__') }}",
        "{{ '%s' | format(user) }}",
        "{{ '<b>' | safe }}",
        "{{ [1] | map('upper') | list }}",
        "{{ user | upper }}",
        "{{ shout | upper }}",
        "{{ orders == orders }}",
        "{{ missing }}",
        "{{ user.missing.deeper }}",
        "{% set a = 1 %}",
        "{% macro m() %}{% endmacro %}",
        "{% include 'mail/base.html' %}",
        "{% import 'mail/parts.html' as p %}",
        "{% extends 'mail/base.html' %}",
        "{% block b %}{% endblock %}",
        "{% filter upper %}x{% endfilter %}",
        "{% autoescape false %}{{ user.name }}{% endautoescape %}",
        "{% for a in orders recursive %}{% endfor %}",
        "{% for a in 'xyz' %}{% endfor %}",
        "{% for shout in orders %}{% endfor %}",
        "{{ 'x' * 1000000000 }}",
        "{{ [0] * 1000000000 }}",
        "{{ 2 ** 1000000000 }}",
        "{{ 999999999999999 * 999999999999999 * 9 }}",
        "{{ 1 / 0 }}",
        "{{ " + "9" * 5_000 + " }}",
        "{{ 'x' | center(1000000000) }}",
        "{{ big ~ big }}",
        "{% for a in ["
        + LONG_LIST
        + "] %}{% for b in ["
        + LONG_LIST
        + "] %}{% endfor %}{% endfor %}",
        "{% for a in orders %}" * 5 + "{% endfor %}" * 5,
        "{{ " + "(" * 400 + "1" + ")" * 400 + " }}",
        "{{ " + "-" * 4_000 + "1 }}",
        "{{ " + "1+" * 4_000 + "1 }}",
        "{% for a in [" + LONG_LIST + "] %}{{ big }}{% endfor %}",
        "{% for a in [" + LONG_LIST + "] %}{{ '' if big ~ 'a' == big }}{% endfor %}",
        "{% if %}",
        "{{ unclosed",
        "x" * 40_000,
    ],
    ids=range(50),
)
def test_what_mails_do_not_need_is_refused_with_a_reason(source: str) -> None:
    with pytest.raises(Invalid) as refused:
        rendered(source)
    assert refused.value.code == "invalid-template"
    assert refused.value.errors[0]["field"] == "html"


def test_doubling_through_loops_ends_at_the_limit_of_a_text() -> None:
    loops = ["{% for a in ['" + "x" * 500 + "'] %}"]
    loops += [
        "{% for " + new + " in [" + " ~ ".join([old] * 50) + "] %}"
        for old, new in (("a", "b"), ("b", "c"), ("c", "d"))
    ]
    with pytest.raises(Invalid, match="more than"):
        rendered("".join(loops) + "{{ d }}" + "{% endfor %}" * 4)


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'x' | round }}",
        "{{ 1 | round(0, 'up') }}",
        "{{ (big | length / 0.1) | round | round(big) }}",
    ],
)
def test_only_numbers_are_rounded(source: str) -> None:
    with pytest.raises(Invalid):
        rendered(source)


def test_what_parts_make_counts_also_where_it_is_only_measured() -> None:
    with pytest.raises(Invalid, match="too many long texts"):
        rendered("{% for a in [" + LONG_LIST + "] %}{{ shout(big) | length }}{% endfor %}")


def test_text_is_not_escaped_where_it_is_no_html() -> None:
    source = "{{ user.name }} & co"
    assert render_untrusted(source, DATA, parts={}, field="text", escaped=False) == "<Ann> & co"


@settings(max_examples=150)
@given(st.text(alphabet="{}%|()[].,~'\"abnx_ 019*+-=<>\n", max_size=60))
def test_whatever_is_written_is_rendered_or_refused(source: str) -> None:
    with suppress(Invalid):
        assert len(rendered("{{ " + source + " }}", a="1", b=[1], x={"n": 2})) <= LONGEST_RESULT
