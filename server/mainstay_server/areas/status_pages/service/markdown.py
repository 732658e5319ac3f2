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
SCHEMES = {"http", "https", "mailto"}

# HTML in the text is text; pictures would be requests to others.
_parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).disable(["image"])


def to_html(markdown: str) -> str:
    """The text as HTML of a few harmless tags; links lead to http, https and mailto only.

    The parser makes no tag of the text's own; what it made is sanitised all the same.
    """
    if not markdown.strip():
        return ""
    return nh3.clean(
        _parser.render(markdown),
        tags=TAGS,
        attributes={"a": {"href"}},
        url_schemes=SCHEMES,
        link_rel="nofollow noopener noreferrer",
    )
