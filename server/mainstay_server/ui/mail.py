"""Mails as people see them: one layout with inlined styles, and the text part made from it."""

import io
import json
import sys
import threading
from dataclasses import dataclass
from typing import Any, Protocol

from markupsafe import Markup

from mainstay_server.kernel.problems import Invalid, TooLarge, TooManyRequests
from mainstay_server.kernel.programs import ProgramFailed, running

from . import mail_reading
from .rendering import environment

PLAIN_COLOUR = "#2360c4"
DARKEST_FOR_WHITE = 0.179  # relative luminance up to which white text has the better contrast
# With no more tags than this, no page nests deep enough, or stands for elements enough, to do any
# harm; and looking for the end of each tag takes no longer than a moment.
MOST_TAGS_HERE = 500
MOST_WORK_HERE = 5_000_000
LONGEST_LETTERS = 1_000_000
CHILDREN = 2
WAIT_SECONDS = 15.0

_children = threading.BoundedSemaphore(CHILDREN)


class Branded(Protocol):
    """Whoever says whose mail it is; see `contracts.email.MailBrand`."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def colour(self) -> str:
        """A colour such as `#2360c4`."""

    @property
    def logo_url(self) -> str:
        """Where its logo is; empty without one."""

    @property
    def footer(self) -> str:
        """The last line; empty without one."""


@dataclass(frozen=True, kw_only=True)
class Brand:
    """Whose mail it is: a name, a colour such as `#2360c4`, perhaps a logo and a last line."""

    name: str
    colour: str = PLAIN_COLOUR
    logo_url: str = ""
    footer: str = ""

    @classmethod
    def of(cls, given: Branded | None) -> "Brand":
        """A brand as another says it; our own where nobody does."""
        if given is None:
            return cls(name="Mainstay")
        return cls(
            name=given.name, colour=given.colour, logo_url=given.logo_url, footer=given.footer
        )

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
    has_foreign_html: bool = True,
    **context: Any,  # noqa: ANN401 - a template's names
) -> Written:
    """Render a template that extends `mail/base.html`; styles are inlined, nothing is fetched.

    Raises what `finished` raises; without any HTML of others in it only `TooLarge`, since it nests
    no deeper than its template and has no need of a child to read it.
    """
    page = (
        environment()
        .get_template(template)
        .render(brand=brand, subject=subject, unsubscribe_url=unsubscribe_url, **context)
    )
    if has_foreign_html:
        return finished(page)
    return _checked(mail_reading.inlined(page), mail_reading.as_text(page))


def finished(page: str) -> Written:
    """A whole page with its styles inlined, and the text part made from it; nothing is fetched.

    HTML nests as deeply as its writer likes, and a short page may stand for millions of elements:
    reading it would end the process or fill its memory. A page of many tags is therefore read by a
    child that may die of it.

    Raises:
        Invalid: it cannot be read within the child's means.
        TooLarge: it says more than a mail may.
        TooManyRequests: all children are at work on others.
    """
    tags = page.count("<")
    if tags <= MOST_TAGS_HERE and tags * len(page) <= MOST_WORK_HERE:
        html, text = mail_reading.inlined(page), mail_reading.as_text(page)
    else:
        html, text = _read_apart(page)
    return _checked(html, text)


def _checked(html: str, text: str) -> Written:
    if len(html) + len(text) > LONGEST_LETTERS:
        raise TooLarge(
            f"With its styles inlined the mail is over {LONGEST_LETTERS:,} letters; shorten it."
        )
    return Written(html=html, text=text)


def part(name: str, *values: object) -> Markup:
    """One of the parts that mails are built of, by its name in `mail/parts.html`."""
    macro = getattr(environment().get_template("mail/parts.html").module, name)
    return Markup(macro(*values))  # noqa: S704 - the macro escaped it


def _read_apart(page: str) -> tuple[str, str]:
    if not _children.acquire(timeout=WAIT_SECONDS):
        raise TooManyRequests("Many long mails are being read; send it again in a while.")
    command = [sys.executable, "-I", mail_reading.__file__]
    try:
        with running(command, takes_input=True, gives_output=True) as child:
            child.feed(io.BytesIO(page.encode()))
            said = child.output.read()
            child.finish()
    except ProgramFailed:
        message = "html nests too deeply, or takes too long to read; make it simpler."
        raise Invalid(
            message, code="unreadable-html", errors=[{"field": "html", "message": message}]
        ) from None
    finally:
        _children.release()
    html, text = json.loads(said)
    return html, text


def _linear(channel: int) -> float:
    share = channel / 255
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4  # noqa: PLR2004 - sRGB
