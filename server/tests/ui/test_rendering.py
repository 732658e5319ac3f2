from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import ChoiceLoader, DictLoader, UndefinedError
from mainstay_server.kernel.problems import NotFound
from mainstay_server.ui import fragment, render, rendering
from mainstay_server.ui.rendering import environment
from starlette.requests import Request

NOON = datetime(2025, 11, 21, 12, tzinfo=UTC)


def a_request(cookie: str = "", query: str = "", **state: Any) -> Request:
    return Request(
        {
            "type": "http",
            "method": "GET",
            "path": "/here",
            "scheme": "http",
            "server": ("mainstay.example", 80),
            "query_string": query.encode(),
            "headers": [(b"cookie", cookie.encode())] if cookie else [],
            "state": state,
        }
    )


@pytest.fixture(autouse=True)
def templates() -> Iterator[dict[str, str]]:
    """Templates of this test alone, in front of the real ones."""
    loader = environment().loader
    assert isinstance(loader, ChoiceLoader)
    before = loader.loaders
    mapping: dict[str, str] = {}
    loader.loaders = [DictLoader(mapping), *before]
    yield mapping
    loader.loaders = before
    cache = environment().cache
    if cache is not None:
        cache.clear()


def test_what_people_wrote_is_escaped(templates: dict[str, str]) -> None:
    templates["a.html"] = "{{ name }}"

    answer = render(a_request(), "a.html", name="<script>")

    assert answer.body == b"&lt;script&gt;"


def test_a_page_stays_as_it_was_when_the_server_began(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('before {% include "b.html" %}')
    (tmp_path / "b.html").write_text("before")
    files = {name: tmp_path / name for name in ("a.html", "b.html")}
    pages = environment().overlay(loader=rendering._AsTheyWere(files))
    assert pages.get_template("a.html").render() == "before before"

    (tmp_path / "a.html").write_text("after")
    (tmp_path / "b.html").unlink()

    assert pages.get_template("a.html").render() == "before before"


def test_a_name_that_nobody_set_is_an_error(templates: dict[str, str]) -> None:
    templates["b.html"] = "{{ nobody }}"

    with pytest.raises(UndefinedError, match="nobody"):
        render(a_request(), "b.html")


def test_the_frame_stands_without_a_caller_and_without_a_menu() -> None:
    answer = render(a_request(), "layout.html", status_code=403)

    assert answer.status_code == 403
    assert b"rail-foot" not in answer.body


def test_the_frame_names_who_is_signed_in() -> None:
    alice = SimpleNamespace(
        person_name="Alice", person_email="a@b.example", organization_name="Harbour", role="owner"
    )

    body = bytes(render(a_request(caller=alice), "layout.html").body).decode()

    assert "owner of Harbour" in body


@pytest.mark.parametrize(
    ("cookie", "theme"),
    [("theme=dark", "dark"), ("theme=light", "light"), ("", "system"), ('theme="x', "system")],
)
def test_the_theme_is_right_at_first_paint(cookie: str, theme: str) -> None:
    body = bytes(render(a_request(cookie), "layout_plain.html").body).decode()

    assert f'<html lang="en" data-theme="{theme}">' in body


def test_every_form_carries_the_token_of_the_session(templates: dict[str, str]) -> None:
    templates["c.html"] = (
        '{% from "components.html" import form %}{% call form("/x") %}{% endcall %}'
    )

    body = fragment(a_request(csrf_token="abc"), "c.html")

    assert '<input type="hidden" name="csrf_token" value="abc">' in body


def test_a_get_form_keeps_the_token_out_of_the_address(templates: dict[str, str]) -> None:
    templates["d.html"] = (
        '{% from "components.html" import form %}{% call form("/x", "get") %}{% endcall %}'
    )

    assert "csrf_token" not in fragment(a_request(csrf_token="abc"), "d.html")


def test_a_choice_whose_value_is_empty_does_not_hold_its_form_back(
    templates: dict[str, str],
) -> None:
    templates["a.html"] = (
        '{% from "components.html" import select %}'
        '{{ select("reach", "Of", [("", "All projects"), ("shop", "Shop")]) }}'
        '{{ select("kind", "Kind", {"a": "A", "b": "B"}.items()) }}'
    )

    shown = bytes(render(a_request(), "a.html").body).decode()

    assert 'name="reach" required' not in shown
    assert 'name="kind" required' in shown


def test_a_time_range_keeps_the_search(templates: dict[str, str]) -> None:
    templates["e.html"] = '{% from "components.html" import time_range %}{{ time_range("6h") }}'

    body = fragment(a_request(query="q=boom&range=6h"), "e.html")

    assert 'href="/here?q=boom&amp;range=7d"' in body
    assert 'range=6h" aria-current="true"' in body


def test_ago_counts_from_the_now_of_the_page(templates: dict[str, str]) -> None:
    templates["f.html"] = "{{ at | ago }}"

    assert "2 h ago" in fragment(a_request(), "f.html", at=NOON.replace(hour=10), now=NOON)


def test_chart_data_cannot_end_its_script(templates: dict[str, str]) -> None:
    templates["g.html"] = (
        '{% from "components.html" import time_chart %}{{ time_chart("Errors", data) }}'
    )
    data = {"times": [1], "series": [{"label": "</script><b>", "values": [1]}]}

    body = fragment(a_request(), "g.html", data=data)

    assert body.count("</script>") == 1
    assert "<b>" not in body


def test_an_uptime_strip_has_ninety_slots_whatever_is_known(templates: dict[str, str]) -> None:
    templates["h.html"] = (
        '{% from "components.html" import uptime_bars %}{{ uptime_bars(buckets, "Up") }}'
    )
    for known in (0, 3, 90, 120):
        buckets = [{"status": "up", "title": f"day {i}"} for i in range(known)]
        assert fragment(a_request(), "h.html", buckets=buckets).count("<rect") == 90


def test_no_template_of_the_house_has_inline_styles_or_handlers() -> None:
    folder = environment()
    # Mail is the exception: its readers know no style sheets and run no scripts.
    pages = (name for name in folder.list_templates() if name.endswith(".html"))
    names = [name for name in pages if not name.endswith("email.html")]
    assert "components/data.html" in names
    for name in names:
        assert folder.loader is not None
        source = folder.loader.get_source(folder, name)[0]
        assert " style=" not in source, name
        assert " onclick=" not in source, name
        assert "hx-on" not in source, name


def test_a_refusal_is_a_page_with_the_next_step() -> None:
    problem = NotFound("There is no such health check; look at the list of health checks.")

    answer = render(a_request(), "error.html", status_code=404, problem=problem)

    assert "look at the list of health checks" in bytes(answer.body).decode()
