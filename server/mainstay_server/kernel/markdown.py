"""Markdown that anybody may have written, as HTML that can do no harm."""

import nh3
from markdown_it import MarkdownIt

TAGS = {
    "a",
    "blockquote",
    "br",
    "code",
    "em",
    "h3",
    "h4",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "strong",
    "ul",
}
OF_DOCUMENTS = {"h2", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"}
SCHEMES = {"http", "https", "mailto"}

# HTML in the text is text; pictures would be requests to others.
_parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).disable(["image"])
_of_documents = MarkdownIt("commonmark", {"html": False}).disable(["image"]).enable(["table"])


def to_html(markdown: str) -> str:
    """The text as HTML of a few harmless tags; links lead to http, https and mailto only.

    The parser makes no tag of the text's own; what it made is sanitised all the same.
    """
    if not markdown.strip():
        return ""
    return _clean(_parser.render(markdown), TAGS)


def document_to_html(markdown: str) -> str:
    """The same of a whole document: with tables, and headings one level below those of a page."""
    if not markdown.strip():
        return ""
    tokens = _of_documents.parse(markdown)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
    made = _of_documents.renderer.render(tokens, _of_documents.options, {})
    return _clean(made, TAGS | OF_DOCUMENTS)


def _clean(html: str, tags: set[str]) -> str:
    return nh3.clean(
        html,
        tags=tags,
        attributes={"a": {"href"}},
        url_schemes=SCHEMES,
        link_rel="nofollow noopener noreferrer",
    )
