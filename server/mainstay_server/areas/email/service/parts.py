"""The parts that templates of tenants are built of, with every value made safe."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from mainstay_server.areas.email.schemas.builtin import web_address
from mainstay_server.ui.mail import part
from mainstay_server.ui.sandbox import Parts, part_of_mails

TONES = ("neutral", "ok", "warn", "critical", "info")
MOST_CELLS = 2_000


@part_of_mails
def badge(text: Any, tone: Any = "neutral") -> Markup:  # noqa: ANN401 - whatever the data holds
    """A short word with a tone: ok, warn, critical, info or neutral."""
    if tone not in TONES:
        raise ValueError(f"a badge's tone is one of {', '.join(TONES)}")
    return part("badge", _plain(text), tone)


@part_of_mails
def button(label: Any, url: Any) -> Markup:  # noqa: ANN401 - whatever the data holds
    """The one thing to press."""
    return part("button", _plain(label), _address(url))


@part_of_mails
def link(label: Any, url: Any) -> Markup:  # noqa: ANN401 - whatever the data holds
    """A link in a sentence."""
    return part("link", _plain(label), _address(url))


@part_of_mails
def facts(pairs: Any) -> Markup:  # noqa: ANN401 - whatever the data holds
    """Names and values of a mapping, one beside the other."""
    if not isinstance(pairs, Mapping) or len(pairs) > MOST_CELLS:
        raise ValueError("facts(…) takes a mapping of names and values")
    return part("facts", [(_plain(name), _plain(value)) for name, value in pairs.items()])


@part_of_mails
def table(columns: Any, rows: Any) -> Markup:  # noqa: ANN401 - whatever the data holds
    """Rows of data under their heads: `table(["Name", "Count"], rows)`, each row a list."""
    if not isinstance(columns, list) or not isinstance(rows, list):
        raise TypeError("table(…) takes a list of heads and a list of rows")
    if len(columns) * len(rows) > MOST_CELLS or any(
        not isinstance(row, list) or len(row) != len(columns) for row in rows
    ):
        raise ValueError("every row of a table(…) is a list as long as its heads")
    return part(
        "table", [_plain(each) for each in columns], [[_cell(each) for each in row] for row in rows]
    )


PARTS: Parts = {"badge": badge, "button": button, "link": link, "facts": facts, "table": table}


def _address(value: Any) -> str:  # noqa: ANN401 - whatever the data holds
    address = _plain(value)
    if not address:
        raise ValueError("a button or link needs an address")
    return web_address(str(address))


def _cell(value: Any) -> str | int | float | Markup:  # noqa: ANN401 - whatever the data holds
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number else _plain(value)


def _plain(value: Any) -> str:  # noqa: ANN401 - whatever the data holds
    """A single value as text; what is HTML already, such as a badge in a table, stays that."""
    if isinstance(value, Mapping | list | tuple) or callable(value):
        raise TypeError("a part takes single values")
    if value is None:
        return "–"  # noqa: RUF001 - the typographic sign for "no value"
    return value if isinstance(value, str) else str(value)
