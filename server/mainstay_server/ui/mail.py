"""Mails as people see them: one layout with inlined styles, and the text part made from it."""

import re
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from typing import Any

import css_inline
from markupsafe import Markup
from typing_extensions import override

from .rendering import environment

PLAIN_COLOUR = "#2360c4"
DARKEST_FOR_WHITE = 0.179  # relative luminance up to which white text has the better contrast
_BLOCKS = {"p", "div", "h1", "h2", "h3", "h4", "ul", "ol", "table", "tr", "blockquote", "pre", "hr"}
_UNSEEN = {"head", "style", "script", "title"}
_VOID = {"br", "hr", "img", "meta", "link", "input", "col", "wbr"}
_SPACES = re.compile(r"[ \t\n\r\f]+")
_BLANKS = re.compile(r"\n{3,}")


@dataclass(frozen=True, kw_only=True)
class Brand:
    """Whose mail it is: a name, a colour such as `#2360c4`, perhaps a logo and a last line."""

    name: str
    colour: str = PLAIN_COLOUR
    logo_url: str = ""
    footer: str = ""

    @property
    def ink(self) -> str:
        """Black or white, whichever is easier to read on the colour (WCAG 2.2, contrast ratio)."""
        red, green, blue = (_linear(int(self.colour[at : at + 2], 16)) for at in (1, 3, 5))
        luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        return "#ffffff" if luminance <= DARKEST_FOR_WHITE else "#000000"


@dataclass(frozen=True, kw_only=True)
class Written:
    """One mail, ready to be sent: the same in HTML and in text."""

    html: str
    text: str


def write_mail(
    template: str,
    /,
    *,
    brand: Brand,
    subject: str,
    unsubscribe_url: str = "",
    **context: Any,  # noqa: ANN401 - a template's names
) -> Written:
    """Render a template that extends `mail/base.html`; styles are inlined, nothing is fetched."""
    page = (
        environment()
        .get_template(template)
        .render(brand=brand, subject=subject, unsubscribe_url=unsubscribe_url, **context)
    )
    return Written(html=inlined(page), text=as_text(page))


def inlined(page: str) -> str:
    """A whole page with the rules of its sheets in its elements; no file and no URL is read."""
    return _inliner().inline(page)


def part(name: str, *values: object) -> Markup:
    """One of the parts that mails are built of, by its name in `mail/parts.html`."""
    macro = getattr(environment().get_template("mail/parts.html").module, name)
    return Markup(macro(*values))  # noqa: S704 - the macro escaped it


def as_text(html: str) -> str:
    """What a mail says, for those who read text: every word, every link with its address."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = "\n".join(line.strip() for line in "".join(reader.said).split("\n"))
    return _BLANKS.sub("\n\n", lines).strip() + "\n"


@cache
def _inliner() -> css_inline.CSSInliner:
    return css_inline.CSSInliner(load_remote_stylesheets=False, keep_link_tags=False)


def _linear(channel: int) -> float:
    share = channel / 255
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4  # noqa: PLR2004 - sRGB


class _Reader(HTMLParser):
    """Reads HTML and keeps what is said; cells of a row stand beside each other."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.said: list[str] = []
        self._unseen = 0
        self._links: list[tuple[str, int]] = []
        self._between = ""
        self._separators: list[str] = []
        self._in_figure = False

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        classes = (given.get("class") or "").split()
        if self._unseen or tag in _UNSEEN or "preheader" in classes:
            self._unseen += tag not in _VOID
            return
        if tag == "img":
            self._say(given.get("alt") or "")
        elif tag == "a":
            self._links.append((given.get("href") or "", len(self.said)))
        elif tag in ("table", "td", "th"):
            self._begin_table_or_cell(tag, classes)
        self._break_before(tag, classes)

    def _begin_table_or_cell(self, tag: str, classes: list[str]) -> None:
        if tag == "table":
            self._separators.append(": " if "facts" in classes else " | ")
        else:
            self._between = self._separators[-1] if self._separators else " | "
            self._in_figure = "figure" in classes

    def _break_before(self, tag: str, classes: list[str]) -> None:
        if tag == "li":
            self.said.append("\n- ")
        elif tag == "br" and self._in_figure:
            self.said.append(" ")
        elif tag in ("br", "tr"):
            self._break("\n")
        elif "logo" in classes or (tag in _BLOCKS and not self._separators[1:]):
            self._break("\n\n")

    @override
    def handle_endtag(self, tag: str) -> None:
        if self._unseen:
            self._unseen -= tag not in _VOID
            return
        if tag == "a" and self._links:
            address, begun = self._links.pop()
            if address and address not in "".join(self.said[begun:]):
                self.said.append(f" ({address})" if self.said[begun:] else address)
        elif tag == "table" and self._separators:
            self._separators.pop()
            self._break("\n\n")
        elif tag in _BLOCKS:
            self._break("\n" if tag == "tr" else "\n\n")

    @override
    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self._say(data)

    def _say(self, data: str) -> None:
        text = _SPACES.sub(" ", data)
        if not text.strip():
            if self.said and not self.said[-1].endswith(("\n", " ")) and text:
                self.said.append(" ")
            return
        if self._between and self.said and not self.said[-1].endswith("\n"):
            self.said[-1] = self.said[-1].rstrip(" ")
            self.said.append(self._between)
            text = text.lstrip()
        self._between = ""
        self.said.append(text)

    def _break(self, lines: str) -> None:
        self._between = ""
        ended = "".join(self.said[-3:]).rstrip(" ")
        missing = len(lines) - (len(ended) - len(ended.rstrip("\n")))
        if self.said and missing > 0:
            self.said.append("\n" * missing)
