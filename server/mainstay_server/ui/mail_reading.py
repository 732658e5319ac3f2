"""Reading the HTML of a mail: its styles into its elements, and what it says as text.

It knows nothing else of the server, so that a child process can do it for pages that may harm
their reader: a page on standard input becomes HTML and text on standard output.
"""

import json
import re
import resource
import sys
from functools import cache
from html.parser import HTMLParser

import css_inline
from typing_extensions import override

MOST_CPU_SECONDS = 5
MOST_MEMORY_BYTES = 256 << 20
_BLOCKS = {"p", "div", "h1", "h2", "h3", "h4", "ul", "ol", "table", "tr", "blockquote", "pre", "hr"}
_UNSEEN = {"head", "style", "script", "title"}
_VOID = {"br", "hr", "img", "meta", "link", "input", "col", "wbr"}
_SPACES = re.compile(r"[ \t\n\r\f]+")
_SPACES_OF_A_LINE = re.compile(r"[ \t\r\f]+")
_BLANKS = re.compile(r"\n{3,}")


def inlined(page: str) -> str:
    """A whole page with the rules of its sheets in its elements; no file and no URL is read."""
    return _inliner().inline(page)


def as_text(html: str) -> str:
    """What a mail says, for those who read text: every word, every link with its address."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = "\n".join(line.strip() for line in "".join(reader.said).split("\n"))
    return _BLANKS.sub("\n\n", lines).strip() + "\n"


def main() -> None:
    """Read one page within limits that end this process and nothing else."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_SECONDS, MOST_CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    page = sys.stdin.buffer.read().decode()
    sys.stdout.write(json.dumps([inlined(page), as_text(page)]))


@cache
def _inliner() -> css_inline.CSSInliner:
    return css_inline.CSSInliner(load_remote_stylesheets=False, keep_link_tags=False)


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
        self._keeps_lines = ""

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
        if "said" in classes:  # shown with its lines as they are
            self._keeps_lines = tag
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
        if tag == self._keeps_lines:
            self._keeps_lines = ""
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
        text = (_SPACES_OF_A_LINE if self._keeps_lines else _SPACES).sub(" ", data)
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


if __name__ == "__main__":
    main()
