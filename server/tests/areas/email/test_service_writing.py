"""Mails as mail readers take them: tables, inlined styles, nothing from afar, text complete."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from mainstay_server.areas.email.models import EmailKind, Period
from mainstay_server.areas.email.service import reports, writing
from mainstay_server.areas.email.service.figures import Figures, WatchedFigures
from mainstay_server.areas.email.service.wishes import Span
from mainstay_server.areas.email.service.writing import BUILT_IN, Letter, Source
from mainstay_server.kernel.problems import Invalid
from mainstay_server.ui.mail import Brand
from tests.areas.email.conftest import MONDAY_SPAN
from typing_extensions import override

BRAND = Brand(name="Dock & Co", colour="#ffd100", logo_url="https://dock.example/l.png")
WIDEST = 640
WORD = re.compile(r"[\w%&-]+")
NEVER = re.compile(r"display\s*:\s*(flex|grid|inline-flex)|position\s*:|float\s*:|@import|url\(")


def a_report() -> Letter:
    figures = Figures(
        alerts=None,
        uptime_percent=99.953,
        watched=2,
        lowest=[WatchedFigures(project_name="Ships", name="health", percent=99.9)],
        slowest=[],
        findings=[],
        findings_count=0,
    )
    span: Span = MONDAY_SPAN
    return reports.write_report(Period.WEEKLY, span, figures, brand=BRAND, about="Ships")


def letters() -> list[Letter]:
    own = Source(
        name="own",
        kind=EmailKind.SUBSCRIPTION,
        subject="Hi {{ name }}",
        html="<h1>Hi {{ name }}</h1>{{ table(['A', 'B'], rows) }}{{ link('more', 'https://a.b') }}",
        text="",
    )
    data: dict[str, Any] = {"name": "Ann", "rows": [["x", 1], ["y", 2.5]]}
    built_in = [
        writing.write_built_in(name, writing.example_of(name), brand=BRAND) for name in BUILT_IN
    ]
    return [*built_in, writing.write_own(own, data, brand=BRAND), a_report()]


class Seen(HTMLParser):
    """What a mail reader would have to cope with."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))


@pytest.mark.parametrize("letter", letters(), ids=lambda letter: letter.template)
def test_a_mail_is_built_as_mail_readers_understand_it(letter: Letter) -> None:
    seen = Seen(letter.html)
    names = {name for name, _ in seen.tags}
    assert names.isdisjoint({"script", "link", "form", "iframe", "video", "svg", "object"})
    assert [name for name, _ in seen.tags].count("style") == 1, "what dark mode and phones need"
    assert not NEVER.search(letter.html)
    for name, given in seen.tags:
        if name == "table":
            assert given.get("role") == "presentation" or "rows" in given["class"]
            assert int(given["width"].rstrip("%") if "width" in given else "0") <= WIDEST
        if name == "img":
            assert given["alt"]
        if name in ("p", "h1", "td", "th", "a", "span") and "class" in given:
            assert given["style"], f"the rules of {given['class']} stand in the element"
    assert len(letter.html) < 100_000, "Gmail cuts what is longer than 102 KB"
    assert max(len(line.encode()) for line in letter.text.split("\n")) < 998


@pytest.mark.parametrize("letter", letters(), ids=lambda letter: letter.template)
def test_the_text_says_every_word_and_names_every_address(letter: Letter) -> None:
    body = letter.html.partition("</head>")[2]
    shown = re.sub(r'<div class="preheader".*?</div>', "", body, flags=re.DOTALL)
    words = set(WORD.findall(re.sub(r"<[^>]*>", " ", shown).replace("&amp;", "&")))
    assert words <= set(WORD.findall(letter.text))
    for name, given in Seen(body).tags:
        if name == "a":
            assert given["href"] in letter.text


def test_subscriptions_alone_end_with_a_way_out() -> None:
    for letter in letters():
        is_subscription = letter.kind is EmailKind.SUBSCRIPTION
        assert (writing.UNSUBSCRIBE in letter.html) is is_subscription
        assert (writing.UNSUBSCRIBE in letter.text) is is_subscription
        mine = letter.for_reader("https://m.example/email/unsubscribe/x?a&b")
        assert "unsubscribe.invalid" not in mine.html + mine.text


def test_data_is_escaped_in_html_and_plain_in_text() -> None:
    data = {"status": "pass", "locationName": "<img src=x onerror=y>", "message": "a & b"}
    letter = writing.write_built_in("task_finished", data, brand=BRAND)
    assert "<img src=x" not in letter.html
    assert "<img src=x onerror=y>" in letter.text
    assert "a & b" in letter.text


def test_the_ink_on_a_colour_is_the_one_that_reads_better() -> None:
    assert Brand(name="", colour="#ffd100").ink == "#000000"
    assert Brand(name="", colour="#16794c").ink == "#ffffff"


@pytest.mark.parametrize(
    "html",
    [
        "{{ button('x', 'javascript:alert(1)') }}",
        "{{ facts([1]) }}",
        "{{ table(['a'], [['x', 'y']]) }}",
        "{{ badge('x', 'pink') }}",
        "{{ badge(badge) }}",
        "{{ badge(data) }}",
    ],
)
def test_parts_refuse_what_they_cannot_show(html: str) -> None:
    source = Source(name="x", kind=EmailKind.TRANSACTIONAL, subject="s", html=html, text="")
    with pytest.raises(Invalid):
        writing.write_own(source, {"data": {}}, brand=BRAND)


def test_nothing_is_fetched_for_a_mail_that_links_a_sheet(tmp_path: Any) -> None:
    (tmp_path / "x.css").write_text("p{color:red}")
    html = (
        f'<!doctype html><link rel="stylesheet" href="file://{tmp_path}/x.css">'
        '<link rel="stylesheet" href="http://127.0.0.1:9/x.css"><p>Hello</p>'
    )
    letter = writing.write_plain("Hi", html, "", brand=BRAND)
    assert "red" not in letter.html
